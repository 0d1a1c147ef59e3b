"""Metrics by language models; each file imports torch, and is imported only when its weights are at hand."""
