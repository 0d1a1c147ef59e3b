"""Decoding: beam search, ensembles of runs, and classification by an encoder."""
