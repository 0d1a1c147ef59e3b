"""Adapters of 0.1% of the model (the paper's Adapter (0.1%)): the method adapter with recipes of its own."""

from stages.methods.adapter import BATCHED_RUNS, FAMILIES, OPTIONS, build, load

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]
