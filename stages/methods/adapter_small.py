"""Adapters with 0.1% of the model's parameters (the paper's Adapter (0.1%)): the method adapter with other recipes."""

from stages.methods.adapter import BATCHED_RUNS, FAMILIES, OPTIONS, build, load

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]
