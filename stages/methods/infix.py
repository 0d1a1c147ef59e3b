"""Infix-tuning (section 7.2): [x; infix; y]. The infix comes after the source, so that only the target attends to it.

As in the authors' code, an infix is embeddings that the frozen model reads after x, and offsets that are added to the
keys and values which it computes for them.
"""

import torch

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import FILE
from stages.methods.parts.prefix_encoder import DirectParameters, prefix_encoder
from stages.methods.prefix import Options, size_of, unflatten
from stages.models.adaptation import DECODER, Adaptation, Infix
from stages.models.decoder_only import DecoderOnly
from stages.training.method import Method

FAMILIES = ("decoder-only",)
BATCHED_RUNS = True
OPTIONS = {"prefix": Options}


class InfixTuning(Method):
    """Trainable embeddings, which are direct parameters, and offsets from a prefix encoder."""

    def __init__(self, lm: DecoderOnly, length: int, mlp_width: int | None, seeds: list[int], dropout=0.0, std=1.0):
        """`length`: virtual tokens; `mlp_width`, `dropout` and `std` as in `prefix_encoder`."""
        super().__init__(seeds)
        self.shape = lm.shapes[DECODER]
        self.vectors = DirectParameters(length, lm.embedding_width, seeds, std=std)
        self.offsets = prefix_encoder(
            length, size_of(self.shape), lm.width, mlp_width, seeds, dropout, number=1, std=std
        )
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        """The infix, with the shapes of `state`; only the offsets can have dropout."""
        return Adaptation(infix=Infix(self.vectors(step), unflatten(self.offsets(step), self.shape)))

    def state(self) -> dict[str, torch.Tensor]:
        """`embeddings` [runs, len, width] and `offsets` [runs, layers, 2, kv_heads, len, head_dim]."""
        infix = self().infix
        return {"embeddings": infix.embeddings.detach(), "offsets": infix.offsets.detach()}


def build(lm: DecoderOnly, config: RunConfig, seeds: list[int]) -> InfixTuning:
    """An infix to train, one run per seed, by `methods.prefix`.

    It starts from random numbers, or from the embeddings of `init_words` with offsets of zero. Raises UserError for any
    other start.
    """
    options, length = config.options["prefix"], config.prefix_len
    if options.init not in ("random", "words"):
        raise UserError(
            f"{FILE}: methods.prefix.init is {options.init}, but infix starts from random or words: set one"
        )
    method = InfixTuning(lm, length, options.hidden, seeds, options.dropout, options.init_std)
    if options.init == "words":
        method.vectors.init_from(lm.embed(lm.words(options.init_words, length)), options.fit)
        method.offsets.init_from(torch.zeros(length, size_of(method.shape), device=lm.device), options.fit)
    return method


def load(lm: DecoderOnly, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of a trained infix: `state` as `InfixTuning.state` gives it."""
    return Adaptation(infix=Infix(state["embeddings"], state["offsets"]))
