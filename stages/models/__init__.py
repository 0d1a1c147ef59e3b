"""Language models of the three families: attention with a prefix, caches, what a method attaches, loading and its checks."""
