"""How long the work takes, and how much memory, beside other programs that do the same."""
