"""What every method is: parameters that move, and the adaptation that they make."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from stages.models.adaptation import Adaptation


class Method(nn.Module, ABC):
    """The trainable part of one or more runs, one per seed.

    Parameters have the runs as their first dimension, but those of a method that moves the model's own weights,
    which has one run.
    """

    own_weights = False  # whether it moves the model's own, which have no dimension of runs

    def __init__(self, seeds: list[int]):
        super().__init__()
        self.seeds = seeds

    @abstractmethod
    def forward(self, step: int | None = None) -> Adaptation:
        """What is attached to the model; with dropout if `step`, the number of the training step, is given."""

    @abstractmethod
    def state(self) -> dict[str, torch.Tensor]:
        """What a trained run is, without gradient: tensors [runs, ...] that the `load` of its file takes."""

    def trainable_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.parameters() if p.requires_grad]


def generators(seeds: list[int], salt: int) -> list[torch.Generator]:
    """One for each run, so that a run does not depend on its neighbours."""
    return [torch.Generator().manual_seed(seed * 1_000_003 + salt) for seed in seeds]
