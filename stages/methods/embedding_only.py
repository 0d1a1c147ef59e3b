"""Embedding-only tuning (section 7.2): trainable input embeddings before the text.

The frozen model reads each run's embeddings once. The keys and values that it computes for them are a prefix for all
texts: a prefix with fewer degrees of freedom. Prompt Tuning is the same without the MLP.
"""

from collections.abc import Iterable

import torch

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import FILE
from stages.methods.parts.prefix_encoder import prefix_encoder
from stages.methods.parts.worked_examples import last_ids_of_runs
from stages.methods.prefix import Options
from stages.models.adaptation import DECODER, Adaptation
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.training.method import Method

FAMILIES = ("decoder-only",)
BATCHED_RUNS = True
OPTIONS = {"prefix": Options}


class EmbeddingOnly(Method):
    """Trainable embeddings [runs, len, width] of `len` virtual tokens, from a prefix encoder."""

    def __init__(self, lm: DecoderOnly, length: int, mlp_width: int | None, seeds: list[int], dropout=0.0, std=1.0):
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


class EmbeddingOnlyFromExamples(EmbeddingOnly):
    """Embeddings that start from those of worked examples of the run's own training data."""

    def __init__(self, lm: DecoderOnly, length: int, options: Options, seeds: list[int]):
        """`length`: virtual tokens. Until `init_from_data`, the embeddings are random."""
        super().__init__(lm, length, options.hidden, seeds, options.dropout, options.init_std)
        self.length, self.fit = length, options.fit

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """See `Method.init_from_data`. Raises UserError if a run has fewer tokens of examples than virtual tokens."""
        rows = last_ids_of_runs(self.lm, samples, self.seeds, self.length)
        self.vectors.init_from(torch.stack([self.lm.embed(ids).float() for ids in rows]), self.fit)


def build(lm: DecoderOnly, config: RunConfig, seeds: list[int]) -> EmbeddingOnly:
    """Embeddings to train, one run per seed, by `methods.prefix`.

    They start from random numbers; from zero; from the embeddings of `init_words`, repeated up to `prefix_len`; or, in
    `init_from_data`, from those of worked examples. Raises UserError for any other start.
    """
    options, length = config.options["prefix"], config.prefix_len
    if options.init == "file":
        raise UserError(
            f"{FILE}: methods.prefix.init is file, but embedding_only starts from random, words, examples or zero: set one"
        )
    if options.init == "examples":
        return EmbeddingOnlyFromExamples(lm, length, options, seeds)
    method = EmbeddingOnly(lm, length, options.hidden, seeds, options.dropout, options.init_std)
    if options.init == "words":
        method.vectors.init_from(lm.embed(lm.words(options.init_words, length)), options.fit)
    if options.init == "zero":
        method.vectors.zero_columns(torch.ones(lm.embedding_width, dtype=torch.bool))
    return method


@torch.no_grad()
def load(lm: DecoderOnly, state: dict[str, torch.Tensor]) -> Adaptation:
    """The prefix that the model computes from trained `embeddings` [runs, len, width]."""
    return Adaptation({DECODER: lm.cache_of(state["embeddings"])})
