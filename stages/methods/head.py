"""The head of an encoder: a linear map from hidden states to classes, trained with whatever a method trains."""

from dataclasses import replace

import torch
from torch import nn

from stages.models.encoder import Encoder
from stages.models.steering import Head, Steering
from stages.training.method import Method, generators

_STD = 0.02  # of the weights, as BERT's own
_SALT = 15_485_863  # keeps a head's random numbers apart from those of the method
WEIGHT, BIAS = "head.weight", "head.bias"


class Headed(Method):
    """A method with a head for each of its runs."""

    def __init__(self, lm: Encoder, method: Method):
        super().__init__(method.seeds)
        self.own_weights = method.own_weights
        self.method, size = method, (lm.scores, lm.width)
        drawn = [torch.empty(size).normal_(0.0, _STD, generator=g) for g in generators(method.seeds, _SALT)]
        self.weight = nn.Parameter(torch.stack(drawn).to(lm.device))
        self.bias = nn.Parameter(torch.zeros(len(drawn), lm.scores, device=lm.device))

    def forward(self, step: int | None = None) -> Steering:
        return replace(self.method(step), head=Head(self.weight, self.bias))

    def stored(self) -> dict[str, torch.Tensor]:
        """What the method stores, and weight [runs, classes, width] and bias [runs, classes] of the heads."""
        return self.method.stored() | {WEIGHT: self.weight.detach(), BIAS: self.bias.detach()}
