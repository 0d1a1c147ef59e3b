"""Adapters: small bottleneck layers in the frozen model. The layout is `methods.adapter.layout`:

- `lin` (Lin et al. 2020, the paper's): after each block, LayerNorm -> down -> ReLU -> up, added to the block's output;
- `houlsby` (Houlsby et al. 2019): two per block, after attention and after the feed-forward part, without LayerNorm.
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
    """The section `methods.adapter`, for adapter and adapter_small. `init_std`: deviation of the initial weights."""

    bottleneck: CountOrRecipe
    layout: Literal["lin", "houlsby"]
    init_std: Positive


OPTIONS = {"adapter": Options}
# The names of a block's two parts in the models of transformers: attention, and the end of the feed-forward part.
_PARTS = (("attn", "mlp"), ("self_attn", "mlp"), ("self_attn", "fc2"))


@dataclass(frozen=True)
class Bottleneck:
    """One adapter for one or more runs.

    `weights` by name: `down.weight` [runs, bottleneck, width], `up.weight` [runs, width, bottleneck] and their biases,
    as in nn.Linear; with the layout `lin` also `norm.weight` and `norm.bias` [runs, width].
    """

    weights: Mapping[str, torch.Tensor]

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Hidden states plus the adapter's output, [batch, length, width]; row `i` uses the weights of `runs[i]`."""
        inside = hidden
        if "norm.weight" in self.weights:
            scale, shift = (rows_of(self.weights[f"norm.{part}"], runs)[:, None] for part in ("weight", "bias"))
            # scale, shift: [batch, 1, width]
            inside = F.layer_norm(hidden, hidden.shape[-1:]) * scale + shift
        return hidden + self._linear("up", self._linear("down", inside, runs).relu(), runs)

    def _linear(self, name: str, x: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """[batch, length, in] -> [batch, length, out]"""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if len(weight) == 1:
            return F.linear(x, weight[0], bias[0])
        # bias [batch, 1, out] + x [batch, length, in] @ weight [batch, in, out]
        return torch.baddbmm(rows_of(bias, runs)[:, None], x, rows_of(weight, runs).mT)

    def of(self, run: int) -> "Bottleneck":
        """The adapter of one run alone."""
        return Bottleneck({name: weight[run : run + 1] for name, weight in self.weights.items()})


class Adapters(Method):
    """An adapter after each module of `adapted`. Parameters are [runs, ...]."""

    def __init__(self, lm: LM, bottleneck: int, layout: str, std: float, seeds: list[int]):
        """Weights start from normal random numbers of deviation `std`, biases from zero, LayerNorm from one and zero.

        Raises UserError if `layout` does not fit the model (see `adapted_modules`).
        """
        super().__init__(seeds)
        self.adapted = adapted_modules(lm, layout)
        drawn = generators(seeds, 0)
        self.weights = nn.ParameterDict()
        for number in range(len(self.adapted)):
            made = [_start(lm.width, bottleneck, layout == "lin", std, generator) for generator in drawn]
            self.weights |= {
                _key(f"{number}.{name}"): nn.Parameter(torch.stack([one[name] for one in made])) for name in made[0]
            }
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        """The adapters, attached to the modules of `adapted`; there is no dropout."""
        return adaptation_of(self.adapted, {_name(key): weight for key, weight in self.weights.items()})

    def state(self) -> dict[str, torch.Tensor]:
        """The weights [runs, ...], named `<number of the adapter>.<weight>` such as `0.down.weight`."""
        return {_name(key): weight.detach() for key, weight in self.weights.items()}


def _key(name: str) -> str:
    """The key of a weight in nn.ParameterDict, which admits no points."""
    return name.replace(".", "/")


def _name(key: str) -> str:
    """The inverse of `_key`."""
    return key.replace("/", ".")


def _start(width: int, bottleneck: int, norm: bool, std: float, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The initial weights of one adapter of one run."""

    def normal(*size: int) -> torch.Tensor:
        return torch.empty(size).normal_(0.0, std, generator=generator)

    start = {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)} if norm else {}
    start |= {"down.weight": normal(bottleneck, width), "down.bias": torch.zeros(bottleneck)}
    return start | {"up.weight": normal(width, bottleneck), "up.bias": torch.zeros(width)}


def adaptation_of(modules: list[nn.Module], weights: Mapping[str, torch.Tensor]) -> Adaptation:
    """Attach weights [runs, ...], named as in `Adapters.state`, to the modules in `modules`."""
    parts: list[dict[str, torch.Tensor]] = [{} for _ in modules]
    for name, weight in weights.items():
        number, _, rest = name.partition(".")
        parts[int(number)][rest] = weight
    return Adaptation(adapters={module: Bottleneck(part) for module, part in zip(modules, parts, strict=True)})


def adapted_modules(lm: LM, layout: str) -> list[nn.Module]:
    """The modules whose output the adapters change. Raises UserError for `houlsby` on a model with unknown parts."""
    return lm.blocks() if layout == "lin" else [part for block in lm.blocks() for part in parts(lm, block)]


def parts(lm: LM, block: nn.Module) -> list[nn.Module]:
    """The attention and the feed-forward part of a block. Raises UserError if the model names them differently."""
    for names in _PARTS:
        found = [getattr(block, name, None) for name in names]
        if all(isinstance(part, nn.Module) for part in found):
            return found
    raise UserError(
        f"params.yaml: methods.adapter.layout houlsby does not know the parts of {lm.name}'s blocks; lin fits any model"
    )


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Adapters:
    """Adapters to train, one run per seed. Raises UserError if the layout does not fit the model."""
    options = config.options["adapter"]
    return Adapters(lm, options.bottleneck, options.layout, options.init_std, seeds)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of trained adapters: `state` as `Adapters.state` gives it. The layout follows from its names."""
    return adaptation_of(adapted_modules(lm, "lin" if "0.norm.weight" in state else "houlsby"), state)
