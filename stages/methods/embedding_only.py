"""Embedding-only tuning (section 7.2): trainable input embeddings before the text.

The frozen model reads each run's embeddings once. The keys and values that it computes for them are a prefix for all
texts: a prefix with fewer degrees of freedom. Prompt Tuning is the same without the MLP.
"""

import torch

from stages.core.run_config import RunConfig
from stages.methods.parts.prefix_encoder import prefix_encoder
from stages.methods.prefix import Options
from stages.models.adaptation import DECODER, Adaptation
from stages.models.decoder_only import DecoderOnly
from stages.training.method import Method

FAMILIES = ("decoder-only",)
BATCHED_RUNS = True
OPTIONS = {"prefix": Options}


class EmbeddingOnly(Method):
    """Trainable embeddings [runs, len, width] of `len` virtual tokens, from a prefix encoder."""

    def __init__(
        self,
        lm: DecoderOnly,
        length: int,
        mlp_width: int | None,
        seeds: list[int],
        dropout: float = 0.0,
        std: float = 1.0,
    ):
        """`length`: virtual tokens; `mlp_width`, `dropout` and `std` as in `prefix_encoder`."""
        super().__init__(seeds)
        self.lm = lm
        self.vectors = prefix_encoder(
            length, lm.embedding_width, lm.embedding_width, mlp_width, seeds, dropout, std=std
        )
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        """The prefix that the model computes from the embeddings, [runs, layers, 2, kv_heads, len, head_dim]."""
        return Adaptation({DECODER: self.lm.cache_of(self.vectors(step))})

    def state(self) -> dict[str, torch.Tensor]:
        """`embeddings` [runs, len, width]."""
        return {"embeddings": self.vectors().detach()}


def build(lm: DecoderOnly, config: RunConfig, seeds: list[int]) -> EmbeddingOnly:
    """Embeddings to train, one run per seed, by `methods.prefix`.

    They start from random numbers, or from the embeddings of `init_words`, repeated up to `prefix_len`.
    """
    options, length = config.options["prefix"], config.prefix_len
    method = EmbeddingOnly(lm, length, options.hidden, seeds, options.dropout, options.init_std)
    if options.init_words is not None:
        method.vectors.init_from(lm.embed(lm.words(options.init_words, length)), options.fit)
    return method


@torch.no_grad()
def load(lm: DecoderOnly, state: dict[str, torch.Tensor]) -> Adaptation:
    """The prefix that the model computes from trained `embeddings` [runs, len, width]."""
    return Adaptation({DECODER: lm.cache_of(state["embeddings"])})
