"""The base class of all methods: trainable parameters, and the adaptation of the model that they make."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from stages.models.adaptation import Adaptation
from stages.models.encode import Examples


class Method(nn.Module, ABC):
    """The trainable parameters of one or more runs, one run per seed.

    Parameters are [runs, ...]. A method that trains the model's own weights (`own_weights`) has one run, and its
    parameters have the shapes of those weights.
    """

    own_weights = False  # whether the model's own weights are trained, which have no dimension of runs

    def __init__(self, seeds: list[int]):
        """`seeds`: the seed of each run; the run's random numbers come from it alone."""
        super().__init__()
        self.seeds = seeds

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """Initialize the runs from their own training data. By default nothing is done.

        `samples` are the encoded training examples of each run, in the order of `seeds`; they may be encoded only as
        they are read. Called once, before training. Raises UserError if they are not enough.
        """

    @abstractmethod
    def forward(self, step: int | None = None) -> Adaptation:
        """The adaptation of all runs, with dropout if `step`, the number of the training step, is given."""

    @abstractmethod
    def state(self) -> dict[str, torch.Tensor]:
        """What is saved of the runs: tensors [runs, ...] by name, without gradient, as `load` reads them."""

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimizer updates."""
        return [p for p in self.parameters() if p.requires_grad]


def generators(seeds: list[int], salt: int) -> list[torch.Generator]:
    """A random number generator for each run, so that a run does not depend on the others.

    `salt` sets apart the uses of one seed: the same seed and salt give the same numbers.
    """
    return [torch.Generator().manual_seed(seed * 1_000_003 + salt) for seed in seeds]
