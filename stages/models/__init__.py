"""Language models of three families: attention with a prefix, caches, adaptations, and loading with its checks."""
