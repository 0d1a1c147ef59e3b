"""The frozen model without any adaptation (`method: none` in params.yaml). Nothing is trained or saved."""

import torch

from stages.core.run_config import RunConfig
from stages.models.adaptation import Adaptation
from stages.models.model import LM
from stages.training.method import Method

FAMILIES = ("decoder-only", "encoder-decoder")
BATCHED_RUNS = False
UNTRAINED = True
OPTIONS = {}


class Untuned(Method):
    """A method without trainable parameters. Its adaptation and its state are empty."""

    def forward(self, step: int | None = None) -> Adaptation:
        return Adaptation()

    def state(self) -> dict[str, torch.Tensor]:
        return {}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Untuned:
    """One run per seed without trainable parameters."""
    return Untuned(seeds)


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The empty adaptation; `state` is empty."""
    return Adaptation()
