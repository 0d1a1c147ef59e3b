"""Beam search, ensembles of runs, and the classes of an encoder."""
