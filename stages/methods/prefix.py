"""Prefix-tuning (Li & Liang 2021, section 4): the only trained parameters are prefixes of keys and values.

A decoder-only model has one; an encoder-decoder model has three, for the encoder's self-attention, the
decoder's and across, each with an MLP of its own. What is kept of a training are the prefixes alone.
"""

import torch
from torch import nn

from stages.core.run_config import RunConfig
from stages.core.sections import RECIPE, Count, Positive, PositiveOrRecipe, Section, Text, or_word
from stages.methods.parts.prefix_encoder import Fit, prefix_encoder
from stages.models.adaptation import Adaptation
from stages.models.model import LM, Shape
from stages.training.method import Method

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = True


class Options(Section):
    """`methods.prefix`, read by prefix, infix, embedding_only and apt."""

    mlp: bool
    mlp_width: or_word(int, 1, RECIPE) | None  # type: ignore[valid-type]
    init_std: PositiveOrRecipe
    dropout: or_word(float, 0, RECIPE, below=1) = 0.0  # type: ignore[valid-type]
    init_words: Text | None
    fit_steps: Count
    fit_lr: Positive

    @property
    def hidden(self) -> int | None:
        """Hidden units of the MLP; None: there is none, the keys and values are the parameters."""
        return self.mlp_width if self.mlp else None

    @property
    def fit(self) -> Fit:
        """How an MLP is fitted to `init_words`."""
        return Fit(self.fit_steps, self.fit_lr)


OPTIONS = {"prefix": Options}


class Prefix(Method):
    def __init__(
        self,
        lm: LM,
        length: int,
        mlp_width: int | None,
        seeds: list[int],
        dropout: float = 0.0,
        std: float = 1.0,
    ):
        """`mlp_width` None: no MLP, the keys and values are the parameters. Either starts from numbers of deviation `std`."""
        super().__init__(seeds)
        self.shapes = lm.shapes
        self.encoders = nn.ModuleDict({
            place: prefix_encoder(length, size_of(shape), lm.width, mlp_width, seeds, dropout, number, std)
            for number, (place, shape) in enumerate(lm.shapes.items())
        })  # fmt: skip
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        return Adaptation({
            place: unflatten(self.encoders[place](step), shape) for place, shape in self.shapes.items()
        })  # fmt: skip

    def state(self) -> dict[str, torch.Tensor]:
        return {place: prefix.detach() for place, prefix in self().prefixes.items()}

    def init_from(self, targets: dict[str, torch.Tensor], fit: Fit) -> None:
        """Begin at keys and values `[layers, 2, kv_heads, len, head_dim]` by place; an MLP is fitted to them."""
        for place, target in targets.items():
            self.encoders[place].init_from(flatten(target), fit)


def size_of(shape: Shape) -> int:
    """Numbers of one prefix position."""
    return shape.layers * 2 * shape.kv_heads * shape.head_dim


def unflatten(flat: torch.Tensor, shape: Shape) -> torch.Tensor:
    """[runs, len, layers * 2 * kv_heads * head_dim] -> [runs, layers, 2, kv_heads, len, head_dim]"""
    runs, length, _ = flat.shape
    return flat.view(runs, length, shape.layers, 2, shape.kv_heads, shape.head_dim).permute(0, 2, 3, 4, 1, 5)


def flatten(prefix: torch.Tensor) -> torch.Tensor:
    """[layers, 2, kv_heads, len, head_dim] -> [len, layers * 2 * kv_heads * head_dim]"""
    return prefix.permute(3, 0, 1, 2, 4).flatten(1)


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Prefix:
    """From random numbers, or from the activations of `methods.prefix.init_words` (section 7.4).

    The words are repeated up to the length; with their own count as the length it is what is published.
    """
    options, length = config.options["prefix"], config.prefix_len
    prefix = Prefix(lm, length, options.hidden, seeds, options.dropout, options.init_std)
    if options.init_words is not None:
        prefix.init_from(lm.activations(lm.words(options.init_words, length)), options.fit)
    return prefix


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    return Adaptation(state)
