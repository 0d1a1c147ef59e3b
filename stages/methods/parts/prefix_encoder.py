"""A trainable matrix of each run, [runs, len, out]: free, or out of an MLP over a smaller one (section 4.3).

All parameters have the runs as their first dimension, and a run is computed, initialised and dropped out
from its own seed, so that it does not depend on the runs beside it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from stages.models.batches import to_device
from stages.models.linear import product_by_run
from stages.training.method import generators

_PLACES = 7_919_000_027  # keeps the random numbers of several encoders of one run apart


@dataclass(frozen=True)
class Fit:
    """How an MLP is fitted to a start: steps of Adam and their learning rate."""

    steps: int
    lr: float


class PrefixEncoder(nn.Module, ABC):
    """`forward` gives [runs, len, out]; `place` is the number of the encoder among those of its run."""

    def __init__(self, seeds: list[int], dropout: float, place: int):
        super().__init__()
        self.seeds, self.dropout, self.salt = seeds, dropout, place * _PLACES

    @abstractmethod
    def rows(self) -> torch.Tensor:
        """The matrices without dropout."""

    @abstractmethod
    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """Begin at `target` [len, out], all runs uniform_length, or as near as an MLP comes by `fit`."""

    def forward(self, step: int | None = None) -> torch.Tensor:
        """With dropout if `step`, the number of the training step, is given."""
        rows = self.rows()
        if step is None or not self.dropout:
            return rows
        # Drawn from seed and step alone: a resumed training drops what the uninterrupted one drops.
        drawn = generators(self.seeds, self.salt + step + 1)
        kept = torch.stack([torch.rand(rows.shape[1:], generator=g) for g in drawn]) >= self.dropout
        return rows * to_device(rows.device, kept) / (1.0 - self.dropout)


class DirectParameters(PrefixEncoder):
    """Without the MLP: the numbers themselves are the parameters (the ablation of section 7.3)."""

    def __init__(self, length: int, out: int, seeds: list[int], dropout: float = 0.0, place: int = 0, std: float = 1.0):
        """From normal numbers of deviation `std`."""
        super().__init__(seeds, dropout, place)
        drawn = [torch.randn(length, out, generator=g) * std for g in generators(seeds, self.salt)]
        self.matrix = nn.Parameter(torch.stack(drawn))

    def rows(self) -> torch.Tensor:
        return self.matrix

    @torch.no_grad()
    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """At `target` itself; there is nothing to fit."""
        self.matrix.copy_(target.expand_as(self.matrix))


class MLP(PrefixEncoder):
    """Embedding [len, width] -> Linear -> tanh -> Linear -> [len, out], for each run."""

    def __init__(
        self,
        length: int,
        out: int,
        width: int,
        hidden: int,
        seeds: list[int],
        dropout: float = 0.0,
        place: int = 0,
        std: float = 1.0,
    ):
        """The embedding from normal numbers of deviation `std`, the rest as nn.Linear."""
        super().__init__(seeds, dropout, place)
        drawn = generators(seeds, self.salt)

        def uniform(fan_in: int, *size: int) -> nn.Parameter:
            """What nn.Linear starts from, weight and bias."""
            bound = 1 / math.sqrt(fan_in)
            return nn.Parameter(torch.stack([torch.empty(size).uniform_(-bound, bound, generator=g) for g in drawn]))

        self.embedding = nn.Parameter(torch.stack([torch.randn(length, width, generator=g) * std for g in drawn]))
        self.down, self.down_bias = uniform(width, width, hidden), uniform(width, 1, hidden)
        self.up, self.up_bias = uniform(hidden, hidden, out), uniform(hidden, 1, out)

    def rows(self) -> torch.Tensor:
        hidden = product_by_run(self.embedding, self.down, self.down_bias).tanh()  # [runs, len, hidden]
        return product_by_run(hidden, self.up, self.up_bias)

    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """Fit the MLP, and not the matrix that it reads, by mean squared error, as the authors do."""
        optimizer = torch.optim.Adam([self.down, self.down_bias, self.up, self.up_bias], lr=fit.lr, fused=True)
        for _ in range(fit.steps):
            loss = F.mse_loss(self.rows(), target.expand(len(self.seeds), *target.shape), reduction="none")
            loss.mean(dim=(1, 2)).sum().backward()  # a mean of each run's own
            optimizer.step()
            self.zero_grad(set_to_none=True)


def prefix_encoder(
    length: int,
    out: int,
    width: int,
    hidden: int | None,
    seeds: list[int],
    dropout: float = 0.0,
    place: int = 0,
    std: float = 1.0,
) -> PrefixEncoder:
    """Free, or out of an MLP of `hidden` units over vectors of `width`; either from numbers of deviation `std`."""
    if hidden is None:
        return DirectParameters(length, out, seeds, dropout, place, std)
    return MLP(length, out, width, hidden, seeds, dropout, place, std)
