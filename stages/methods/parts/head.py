"""The head of an encoder: a linear layer from hidden states to class scores, trained together with the method."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from stages.core.run_config import RunConfig
from stages.methods import check_fits, module_of
from stages.models.adaptation import Adaptation, Head
from stages.models.encode import Examples
from stages.models.encoder import Encoder
from stages.models.model import LM
from stages.training.method import Method, generators

_SALT = 15_485_863  # keeps a head's random numbers apart from those of the method
WEIGHT, BIAS = "head.weight", "head.bias"


class Headed(Method):
    """A method with a head for each of its runs: weight [runs, classes, width], bias [runs, classes]."""

    def __init__(self, lm: Encoder, method: Method, std: float):
        """The head's weights start from normal random numbers of deviation `std`, biases from zero."""
        super().__init__(method.seeds)
        self.own_weights = method.own_weights
        self.method, size = method, (lm.scores, lm.width)
        drawn = [torch.empty(size).normal_(0.0, std, generator=g) for g in generators(method.seeds, _SALT)]
        self.weight = nn.Parameter(torch.stack(drawn).to(lm.device))
        self.bias = nn.Parameter(torch.zeros(len(drawn), lm.scores, device=lm.device))

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """See `Method.init_from_data`; the head starts from random numbers."""
        self.method.init_from_data(samples)

    def forward(self, step: int | None = None) -> Adaptation:
        """The method's adaptation with the head."""
        return replace(self.method(step), head=Head(self.weight, self.bias))

    def state(self) -> dict[str, torch.Tensor]:
        """The method's state, with `head.weight` [runs, classes, width] and `head.bias` [runs, classes]."""
        return self.method.state() | {WEIGHT: self.weight.detach(), BIAS: self.bias.detach()}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Method:
    """The trainable runs of the configured method, one per seed; on an encoder, each with a head.

    Raises UserError if the method does not support the model, or as the method's `build`.
    """
    check_fits(config.method, lm.family, lm.name)
    method = module_of(config.method).build(lm, config, seeds)
    return Headed(lm, method, config.head_init_std) if isinstance(lm, Encoder) else method


def load(method: str, lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of trained runs of a method, from their state [runs, ...]; on an encoder with the head.

    Raises UserError if the method does not support the model.
    """
    check_fits(method, lm.family, lm.name)
    own = {name: tensor for name, tensor in state.items() if name not in (WEIGHT, BIAS)}
    loaded = module_of(method).load(lm, own)
    return replace(loaded, head=Head(state[WEIGHT], state[BIAS])) if isinstance(lm, Encoder) else loaded
