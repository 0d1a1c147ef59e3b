"""Adaptive Prefix Tuning, APT (Zhang et al. 2023): a prefix with a gate on its positions and one on its layers.

    prefix of layer i = lambda_i * sigmoid(h_{i-1} W_i) * [keys, values]

The hidden states h_{i-1} are the layer's input: of the text in an encoder, of the source in a decoder. With both gates
off, the method is prefix-tuning with the same parameters; on an encoder, without the MLP, that is P-tuning v2 (Liu et
al. 2022). The equation is taken from notes on the paper, not from its text.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import Positive, Section
from stages.methods.prefix import Options as PrefixOptions
from stages.methods.prefix import Prefix, files
from stages.methods.prefix import build as build_prefix
from stages.models.adaptation import Adaptation
from stages.models.encode import Examples
from stages.models.encoder import Encoder
from stages.models.gates import Gates
from stages.models.model import LM
from stages.training.method import Method, generators

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "files", "load"]

FAMILIES = ("encoder", "decoder-only")
BATCHED_RUNS = True
_SALT = 32_452_843  # keeps the gates' random numbers apart from the prefix's
_GATE = "gate."


class Options(Section):
    """The section `methods.apt`.

    `token_gate` weighs positions: `hidden` computes the gate from hidden states, `free` trains it directly, False
    turns it off. `layer_gate` turns on lambda. `pooling` reduces hidden states over the text. `gate_std` is the
    deviation that the weights W start from.
    """

    token_gate: Literal["hidden", "free", False]
    layer_gate: bool
    pooling: Literal["mean", "first"]
    gate_std: Positive


OPTIONS = {"prefix": PrefixOptions, "apt": Options}


class AdaptivePrefix(Method):
    """A trainable prefix with trainable gates.

    The gates are `layer` [runs, layers], `free` [runs, layers, len] and `token` [runs, layers, width, len].
    """

    def __init__(self, lm: LM, prefix: Prefix, length: int, options: Options):
        """`length`: virtual tokens of `prefix`. Layer gates start from one, free gates from zero."""
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

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """See `Method.init_from_data`: the prefix may start from examples, the gates do not."""
        self.prefix.init_from_data(samples)

    def forward(self, step: int | None = None) -> Adaptation:
        """The prefixes [runs, layers, 2, kv_heads, len, head_dim] by attention site, with the gates."""
        return replace(self.prefix(step), gate=_gate(dict(self.gates), self.pooling))

    def state(self) -> dict[str, torch.Tensor]:
        """The prefixes by attention site, and the gates as `gate.<pooling>.<gate>`, such as `gate.mean.layer`."""
        names = {name: f"{_GATE}{self.pooling}.{name}" for name in self.gates}
        return self.prefix.state() | {names[name]: gate.detach() for name, gate in self.gates.items()}


def _gate(parts: dict[str, torch.Tensor], pooling: str) -> Gates | None:
    """The gates of `parts`, by name; None if all gates are off."""
    return Gates(parts.get("layer"), parts.get("token"), parts.get("free"), pooling) if parts else None


def build(lm: LM, config: RunConfig, seeds: list[int]) -> AdaptivePrefix:
    """A gated prefix to train, one run per seed, by `methods.prefix` and `methods.apt`.

    Raises UserError for pooling `first` of hidden states on a causal model: its first token attends only to itself, so
    that the gate would hardly depend on the text.
    """
    options = config.options["apt"]
    if lm.family != Encoder.family and (options.token_gate, options.pooling) == ("hidden", "first"):
        raise UserError(
            f"params.yaml: methods.apt.pooling is first, but the first token of {lm.name} sees nothing of the text: set it to mean"
        )
    return AdaptivePrefix(lm, build_prefix(lm, config, seeds), config.prefix_len, options)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of trained prefixes and gates: `state` as `AdaptivePrefix.state` gives it."""
    parts, pooling = {}, ""
    for name in state:
        if name.startswith(_GATE):
            pooling, part = name.removeprefix(_GATE).split(".")
            parts[part] = state[name]
    prefixes = {site: prefix for site, prefix in state.items() if not site.startswith(_GATE)}
    return Adaptation(prefixes, gate=_gate(parts, pooling))
