"""Adaptive Prefix Tuning (Zhang et al. 2023): a prefix whose positions and layers are weighed by gates.

    prefix of layer i = lambda_i * sigmoid(h_{i-1} W_i) * [keys, values]

With both gates off it is the prefix of the same parameters: on an encoder P-tuning v2 (Liu et al. 2022), without the MLP.
The equations are taken from notes on the paper, not from its text. Gates are computed from what a layer reads of an
encoder's text, or of a decoder's source.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import Positive, Section
from stages.methods.prefix import Options as PrefixOptions
from stages.methods.prefix import Prefix
from stages.methods.prefix import build as build_prefix
from stages.models.adaptation import Adaptation
from stages.models.encoder import Encoder
from stages.models.gates import Gates
from stages.models.model import LM
from stages.training.method import Method, generators

FAMILIES = ("encoder", "decoder-only")
BATCHED_RUNS = True
_SALT = 32_452_843  # keeps the gates' random numbers apart from the prefix's
_GATE = "gate."


class Options(Section):
    """`methods.apt`."""

    token_gate: Literal["hidden", "free", False]
    layer_gate: bool
    pooling: Literal["mean", "first"]
    gate_std: Positive


OPTIONS = {"prefix": PrefixOptions, "apt": Options}


class AdaptivePrefix(Method):
    def __init__(self, lm: LM, prefix: Prefix, length: int, options: Options):
        super().__init__(prefix.seeds)
        self.prefix, self.pooling = prefix, options.pooling
        [shape] = lm.shapes.values()
        runs, drawn = len(prefix.seeds), generators(prefix.seeds, _SALT)
        self.gates = nn.ParameterDict()
        if options.layer_gate:
            self.gates["layer"] = nn.Parameter(torch.ones(runs, shape.layers))
        if options.token_gate == "free":
            self.gates["free"] = nn.Parameter(torch.zeros(runs, shape.layers, length))
        if options.token_gate == "hidden":
            size = (shape.layers, lm.width, length)
            weights = [torch.empty(size).normal_(0.0, options.gate_std, generator=generator) for generator in drawn]
            self.gates["token"] = nn.Parameter(torch.stack(weights))
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        return replace(self.prefix(step), gate=_gate(dict(self.gates), self.pooling))

    def state(self) -> dict[str, torch.Tensor]:
        """The prefixes by place, and the gates: `gate.layer`, `gate.free`, `gate.token` behind the pooling's name."""
        names = {name: f"{_GATE}{self.pooling}.{name}" for name in self.gates}
        return self.prefix.state() | {names[name]: gate.detach() for name, gate in self.gates.items()}


def _gate(parts: dict[str, torch.Tensor], pooling: str) -> Gates | None:
    return Gates(parts.get("layer"), parts.get("token"), parts.get("free"), pooling) if parts else None


def build(lm: LM, config: RunConfig, seeds: list[int]) -> AdaptivePrefix:
    """Raises UserError for a gate that would be the same for all texts: a causal model's first token sees itself alone."""
    options = config.options["apt"]
    if lm.family != Encoder.family and (options.token_gate, options.pooling) == ("hidden", "first"):
        raise UserError(
            f"params.yaml: methods.apt.pooling is first, but the first token of {lm.name} sees nothing of the text: set it to mean"
        )
    return AdaptivePrefix(lm, build_prefix(lm, config, seeds), config.prefix_len, options)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    parts, pooling = {}, ""
    for name in state:
        if name.startswith(_GATE):
            pooling, part = name.removeprefix(_GATE).split(".")
            parts[part] = state[name]
    prefixes = {place: prefix for place, prefix in state.items() if not place.startswith(_GATE)}
    return Adaptation(prefixes, gate=_gate(parts, pooling))
