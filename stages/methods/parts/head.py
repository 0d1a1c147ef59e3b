"""The head of an encoder: a linear map from hidden states to classes, trained with whatever a method trains."""

from dataclasses import replace

import torch
from torch import nn

from stages.core.run_config import RunConfig
from stages.methods import check_fits, module_of
from stages.models.adaptation import Adaptation, Head
from stages.models.encoder import Encoder
from stages.models.model import LM
from stages.training.method import Method, generators

_SALT = 15_485_863  # keeps a head's random numbers apart from those of the method
WEIGHT, BIAS = "head.weight", "head.bias"


class Headed(Method):
    """A method with a head for each of its runs."""

    def __init__(self, lm: Encoder, method: Method, std: float):
        """Weights start from normal numbers of deviation `std`, biases at zero."""
        super().__init__(method.seeds)
        self.own_weights = method.own_weights
        self.method, size = method, (lm.scores, lm.width)
        drawn = [torch.empty(size).normal_(0.0, std, generator=g) for g in generators(method.seeds, _SALT)]
        self.weight = nn.Parameter(torch.stack(drawn).to(lm.device))
        self.bias = nn.Parameter(torch.zeros(len(drawn), lm.scores, device=lm.device))

    def forward(self, step: int | None = None) -> Adaptation:
        return replace(self.method(step), head=Head(self.weight, self.bias))

    def state(self) -> dict[str, torch.Tensor]:
        """The method's state, and weight [runs, classes, width] and bias [runs, classes] of the heads."""
        return self.method.state() | {WEIGHT: self.weight.detach(), BIAS: self.bias.detach()}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Method:
    """Trainable runs, one per seed; of an encoder each with a head. Raises UserError for a method that does not fit."""
    check_fits(config.method, lm.family, lm.name)
    method = module_of(config.method).build(lm, config, seeds)
    return Headed(lm, method, config.head_init_std) if isinstance(lm, Encoder) else method


def load(method: str, lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """Attach trained runs to the model. Raises UserError for a method that does not fit."""
    check_fits(method, lm.family, lm.name)
    own = {name: tensor for name, tensor in state.items() if name not in (WEIGHT, BIAS)}
    loaded = module_of(method).load(lm, own)
    return replace(loaded, head=Head(state[WEIGHT], state[BIAS])) if isinstance(lm, Encoder) else loaded
