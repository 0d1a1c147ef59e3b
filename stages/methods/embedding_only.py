"""Embedding-only (section 7.2): free vectors in front of the text, which the frozen model reads like words.

Each run's vectors are read once, and the keys and values they give stand in front of all its texts: a prefix
that has fewer degrees of freedom. (Prompt Tuning is this without the MLP.)
"""

import torch

from stages.methods.table import table
from stages.models.decoder_only import DecoderOnly
from stages.models.steering import DECODER, Steering
from stages.params import Params
from stages.training.method import Method

FAMILIES = ("decoder-only",)
TOGETHER = True
READS = ("prefix",)


class EmbeddingOnly(Method):
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
        self.lm = lm
        self.vectors = table(length, lm.embedding_width, lm.embedding_width, mlp_width, seeds, dropout, std=std)
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Steering:
        return Steering({DECODER: self.lm.cache_of(self.vectors(step))})

    def stored(self) -> dict[str, torch.Tensor]:
        """Vectors [runs, len, width]."""
        return {"embeddings": self.vectors().detach()}


def build(lm: DecoderOnly, chosen: Params, seeds: list[int]) -> EmbeddingOnly:
    """From random numbers, or from the embeddings of `prefix.init_words`."""
    training, length = chosen.training, chosen.training.prefix_len
    method = EmbeddingOnly(lm, length, training.mlp_width, seeds, training.dropout, training.init_std)
    if chosen.prefix.init_words is not None:
        method.vectors.start_from(lm.embed(lm.words(chosen.prefix.init_words, length)))
    return method


@torch.no_grad()
def apply(lm: DecoderOnly, stored: dict[str, torch.Tensor]) -> Steering:
    return Steering({DECODER: lm.cache_of(stored["embeddings"])})
