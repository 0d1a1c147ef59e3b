"""Infix-tuning (section 7.2): [x; infix; y]. What is trained stands behind the source and steers the target alone.

As in the authors' code, an infix is vectors that the frozen model reads behind x, and an offset on the keys and
values that it computes for them.
"""

import torch

from stages.methods.prefix import size_of, unflatten
from stages.methods.table import Free, table
from stages.models.decoder_only import DecoderOnly
from stages.models.steering import DECODER, Infix, Steering
from stages.params import Params
from stages.training.method import Method

FAMILIES = ("decoder-only",)
TOGETHER = True
READS = ("prefix",)


class InfixTuning(Method):
    def __init__(
        self,
        lm: DecoderOnly,
        length: int,
        mlp_width: int | None,
        seeds: list[int],
        dropout: float = 0.0,
        std: float = 1.0,
    ):
        super().__init__(seeds)
        self.shape = lm.shapes[DECODER]
        self.vectors = Free(length, lm.embedding_width, seeds, std=std)
        self.offsets = table(length, size_of(self.shape), lm.width, mlp_width, seeds, dropout, place=1, std=std)
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Steering:
        return Steering(infix=Infix(self.vectors(step), unflatten(self.offsets(step), self.shape)))

    def stored(self) -> dict[str, torch.Tensor]:
        """Vectors [runs, len, width] and offsets [runs, layers, 2, kv_heads, len, head_dim]."""
        infix = self().infix
        return {"embeddings": infix.embeddings.detach(), "offsets": infix.offsets.detach()}


def build(lm: DecoderOnly, chosen: Params, seeds: list[int]) -> InfixTuning:
    """From random numbers, or as if `prefix.init_words` stood behind the source: their embeddings, no offset."""
    training, length = chosen.training, chosen.training.prefix_len
    method = InfixTuning(lm, length, training.mlp_width, seeds, training.dropout, training.init_std)
    if chosen.prefix.init_words is not None:
        method.vectors.start_from(lm.embed(lm.words(chosen.prefix.init_words, length)))
        method.offsets.start_from(torch.zeros(length, size_of(method.shape), device=lm.device))
    return method


def apply(lm: DecoderOnly, stored: dict[str, torch.Tensor]) -> Steering:
    return Steering(infix=Infix(stored["embeddings"], stored["offsets"]))
