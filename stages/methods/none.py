"""The frozen model as it is, `method: none` in params.yaml: nothing is trained, nothing is state."""

import torch

from stages.core.run_config import RunConfig
from stages.models.adaptation import Adaptation
from stages.models.model import LM
from stages.training.method import Method

FAMILIES = ("decoder-only", "encoder-decoder")
BATCHED_RUNS = False
OPTIONS = {}


class Untuned(Method):
    def forward(self, step: int | None = None) -> Adaptation:
        return Adaptation()

    def state(self) -> dict[str, torch.Tensor]:
        return {}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Untuned:
    return Untuned(seeds)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    return Adaptation()
