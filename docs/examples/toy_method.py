"""A prefix with the same keys and values in every layer: a whole method in one file, as an example.

Prefix-tuning trains other keys and values for each layer. This method trains one set and repeats it, so mini-gpt2 stores
a sixth of the numbers. Copy this file to `stages/methods/`; docs/methods.md has its recipe.
"""

from collections.abc import Mapping

import torch
from torch import nn

from stages.core.run_config import RunConfig
from stages.core.sections import Positive, Section
from stages.models.adaptation import Adaptation
from stages.models.model import LM, Shape
from stages.training.method import Method, generators

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = True


class Options(Section):
    """`methods.toy_method` in params.yaml."""

    init_std: Positive


OPTIONS = {"toy_method": Options}


class SharedPrefix(Method):
    """One prefix per attention of the model (`site`): a decoder-only model has one, an encoder-decoder model three."""

    def __init__(self, lm: LM, length: int, std: float, seeds: list[int]):
        """Parameters `[runs, 2, kv_heads, length, head_dim]` per site, from normal numbers of standard deviation `std`."""
        super().__init__(seeds)
        self.shapes = lm.shapes
        self.vectors = nn.ParameterDict()
        for number, (site, shape) in enumerate(lm.shapes.items()):
            size = (2, shape.kv_heads, length, shape.head_dim)
            drawn = [torch.randn(size, generator=generator) * std for generator in generators(seeds, number)]
            self.vectors[site] = nn.Parameter(torch.stack(drawn).to(lm.device))

    def forward(self, step: int | None = None) -> Adaptation:
        return repeated(self.shapes, self.vectors)

    def state(self) -> dict[str, torch.Tensor]:
        """What is saved, by site: `[runs, 2, kv_heads, length, head_dim]`."""
        return {site: vectors.detach() for site, vectors in self.vectors.items()}


def repeated(shapes: Mapping[str, Shape], vectors: Mapping[str, torch.Tensor]) -> Adaptation:
    """`[runs, 2, kv_heads, length, head_dim]` by site -> prefixes `[runs, layers, 2, kv_heads, length, head_dim]`."""
    return Adaptation({
        site: vectors[site][:, None].expand(-1, shape.layers, -1, -1, -1, -1) for site, shape in shapes.items()
    })  # fmt: skip


def build(lm: LM, config: RunConfig, seeds: list[int]) -> SharedPrefix:
    """The trainable runs, one per seed."""
    return SharedPrefix(lm, config.prefix_len, config.options["toy_method"].init_std, seeds)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """What `state()` of a trained run adds to the model."""
    return repeated(lm.shapes, state)
