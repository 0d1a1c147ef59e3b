"""Prefix-tuning (Li & Liang 2021, section 4): the only trained parameters are prefixes of keys and values.

A decoder-only model has one; an encoder-decoder model has three, for the encoder's self-attention, the
decoder's and across, each with an MLP of its own. What is kept of a training are the prefixes alone.
"""

import torch
from torch import nn

from stages.methods.table import table
from stages.models.model import LM, Shape
from stages.models.steering import Steering
from stages.params import Params
from stages.training.method import Method

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
TOGETHER = True
READS = ("prefix",)


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
        self.tables = nn.ModuleDict({
            place: table(length, size_of(shape), lm.width, mlp_width, seeds, dropout, number, std)
            for number, (place, shape) in enumerate(lm.shapes.items())
        })  # fmt: skip
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Steering:
        return Steering({
            place: unflatten(self.tables[place](step), shape) for place, shape in self.shapes.items()
        })  # fmt: skip

    def stored(self) -> dict[str, torch.Tensor]:
        return {place: prefix.detach() for place, prefix in self().prefixes.items()}

    def start_from(self, targets: dict[str, torch.Tensor]) -> None:
        """Begin at keys and values `[layers, 2, kv_heads, len, head_dim]` by place."""
        for place, target in targets.items():
            self.tables[place].start_from(flatten(target))


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


def build(lm: LM, chosen: Params, seeds: list[int]) -> Prefix:
    """From random numbers, or from the activations of `prefix.init_words` (section 7.4).

    The words are repeated up to the length; with their own count as the length it is what is published.
    """
    training, length = chosen.training, chosen.training.prefix_len
    prefix = Prefix(lm, length, training.mlp_width, seeds, training.dropout, training.init_std)
    if chosen.prefix.init_words is not None:
        prefix.start_from(lm.activations(lm.words(chosen.prefix.init_words, length)))
    return prefix


def apply(lm: LM, stored: dict[str, torch.Tensor]) -> Steering:
    return Steering(stored)
