"""Decoder-only architectures."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import begins, ends

CASES = [
    Case("gpt2", "gpt2", "tied head", ends),
    Case("llama", "llama", "grouped queries", begins, {"num_key_value_heads": 2}),
]
