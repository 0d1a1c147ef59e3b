"""Trained runs to and from other libraries: PEFT directories, keys and values for transformers' cache, the hub."""
