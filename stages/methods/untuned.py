"""The frozen model as it is, `method: none` in params.yaml: nothing is trained, nothing is stored."""

import torch

from stages.models.model import LM
from stages.models.steering import Steering
from stages.params import Params
from stages.training.method import Method

FAMILIES = ("decoder-only", "encoder-decoder")
TOGETHER = False
READS = ()


class Untuned(Method):
    def forward(self, step: int | None = None) -> Steering:
        return Steering()

    def stored(self) -> dict[str, torch.Tensor]:
        return {}


def build(lm: LM, chosen: Params, seeds: list[int]) -> Untuned:
    return Untuned(seeds)


def apply(lm: LM, stored: dict[str, torch.Tensor]) -> Steering:
    return Steering()
