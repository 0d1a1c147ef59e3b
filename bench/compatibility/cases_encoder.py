"""Encoder architectures."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import plain_pairs, typed_pairs

CASES = [
    Case("bert", "bert", "token types, a pooler", typed_pairs),
    Case("roberta", "roberta", "positions behind the padding's", plain_pairs, {"type_vocab_size": 1}),
]
