"""Encoder-decoder architectures."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import closes, encloses

CASES = [
    Case("bart", "bart", "learned positions", encloses, {"decoder_start_token_id": 2}),
    Case("t5", "t5", "position bias by distance, heads of another width", closes,
         {"d_kv": 12, "decoder_start_token_id": 0}),
]  # fmt: skip
