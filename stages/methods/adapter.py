"""Adapters: small bottlenecks among the layers of the frozen model.

`lin` (Lin et al. 2020, the paper's): behind each block, LayerNorm -> down -> ReLU -> up, added to its output.
`houlsby` (Houlsby et al. 2019): two a block, behind attention and behind the feed-forward part, without the norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import CountOrRecipe, Positive, Section
from stages.models.adaptation import Adaptation, rows_of
from stages.models.model import LM
from stages.training.method import Method, generators

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = True


class Options(Section):
    """`methods.adapter`, read by adapter and adapter_small."""

    bottleneck: CountOrRecipe
    layout: Literal["lin", "houlsby"]
    init_std: Positive


OPTIONS = {"adapter": Options}
# What transformers' models call the two parts of a block: attention, and the end of the feed-forward part.
_PARTS = (("attn", "mlp"), ("self_attn", "mlp"), ("self_attn", "fc2"))


@dataclass(frozen=True)
class Bottleneck:
    """One adapter, of one or more runs. Weights by name, as nn.LayerNorm and nn.Linear have them, [runs, ...]."""

    weights: Mapping[str, torch.Tensor]

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, length, width], row `i` by the adapter of run `runs[i]`."""
        inside = hidden
        if "norm.weight" in self.weights:
            scale, shift = (rows_of(self.weights[f"norm.{part}"], runs)[:, None] for part in ("weight", "bias"))
            inside = F.layer_norm(hidden, hidden.shape[-1:]) * scale + shift
        return hidden + self._linear("up", self._linear("down", inside, runs).relu(), runs)

    def _linear(self, name: str, x: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """[batch, length, in] -> [batch, length, out]"""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if len(weight) == 1:
            return F.linear(x, weight[0], bias[0])
        return torch.baddbmm(rows_of(bias, runs)[:, None], x, rows_of(weight, runs).mT)

    def of(self, run: int) -> "Bottleneck":
        return Bottleneck({name: weight[run : run + 1] for name, weight in self.weights.items()})


class Adapters(Method):
    """One behind each of `places`; parameters are [runs, ...]."""

    def __init__(self, lm: LM, bottleneck: int, layout: str, std: float, seeds: list[int]):
        """Weights start from normal numbers of deviation `std`, biases at zero."""
        super().__init__(seeds)
        self.places = places_of(lm, layout)
        drawn = generators(seeds, 0)
        self.weights = nn.ParameterDict()
        for number in range(len(self.places)):
            made = [_start(lm.width, bottleneck, layout == "lin", std, generator) for generator in drawn]
            self.weights |= {
                _key(f"{number}.{name}"): nn.Parameter(torch.stack([one[name] for one in made])) for name in made[0]
            }
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        return adaptation_of(self.places, {_name(key): weight for key, weight in self.weights.items()})

    def state(self) -> dict[str, torch.Tensor]:
        """Weights by name, [runs, ...]."""
        return {_name(key): weight.detach() for key, weight in self.weights.items()}


def _key(name: str) -> str:
    """A name as nn.ParameterDict admits it: without points."""
    return name.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")


def _start(width: int, bottleneck: int, norm: bool, std: float, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """What one adapter starts from."""

    def normal(*size: int) -> torch.Tensor:
        return torch.empty(size).normal_(0.0, std, generator=generator)

    start = {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)} if norm else {}
    start |= {"down.weight": normal(bottleneck, width), "down.bias": torch.zeros(bottleneck)}
    return start | {"up.weight": normal(width, bottleneck), "up.bias": torch.zeros(width)}


def adaptation_of(places: list[nn.Module], weights: Mapping[str, torch.Tensor]) -> Adaptation:
    """Weights by the number of their place and their name, such as `0.down.weight`."""
    parts: list[dict[str, torch.Tensor]] = [{} for _ in places]
    for name, weight in weights.items():
        number, _, rest = name.partition(".")
        parts[int(number)][rest] = weight
    return Adaptation(adapters={place: Bottleneck(part) for place, part in zip(places, parts, strict=True)})


def places_of(lm: LM, layout: str) -> list[nn.Module]:
    """The modules behind which adapters stand. Raises UserError for a model whose parts have other names."""
    return lm.blocks() if layout == "lin" else [part for block in lm.blocks() for part in parts(lm, block)]


def parts(lm: LM, block: nn.Module) -> list[nn.Module]:
    """The attention and the feed-forward part of a block. Raises UserError for a model that names them otherwise."""
    for names in _PARTS:
        found = [getattr(block, name, None) for name in names]
        if all(isinstance(part, nn.Module) for part in found):
            return found
    raise UserError(
        f"params.yaml: methods.adapter.layout houlsby does not know the parts of {lm.name}'s blocks; lin fits any model"
    )


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Adapters:
    options = config.options["adapter"]
    return Adapters(lm, options.bottleneck, options.layout, options.init_std, seeds)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation by trained adapters."""
    return adaptation_of(places_of(lm, "lin" if "0.norm.weight" in state else "houlsby"), state)
