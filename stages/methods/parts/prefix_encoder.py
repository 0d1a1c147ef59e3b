"""Prefix encoders: a trainable matrix for each run, [runs, len, out], direct or from an MLP (section 4.3).

All parameters are [runs, ...]. Initial values and dropout of a run come from its seed alone, so that a run does not
depend on the runs that train in the same batch.
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

_SALT = 7_919_000_027  # sets apart the random numbers of several encoders of one run


@dataclass(frozen=True)
class Fit:
    """How an MLP is fitted to initial values: the steps of Adam and the learning rate."""

    steps: int
    lr: float


class PrefixEncoder(nn.Module, ABC):
    """Base class of the prefix encoders: `forward` gives [runs, len, out]."""

    def __init__(self, seeds: list[int], dropout: float, number: int):
        """`dropout`: share of the numbers set to zero in training; `number`: the encoder's number within its run."""
        super().__init__()
        self.seeds, self.dropout, self.salt = seeds, dropout, number * _SALT

    @abstractmethod
    def rows(self) -> torch.Tensor:
        """The matrices of all runs without dropout, [runs, len, out]."""

    @abstractmethod
    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """Start all runs from `target` [len, out], or each from its own [runs, len, out]; an MLP is fitted as `fit`
        says."""

    @abstractmethod
    def zero_columns(self, columns: torch.Tensor) -> None:
        """Start all runs from zero in the columns of the matrix where `columns` [out] is True; the rest stays."""

    def forward(self, step: int | None = None) -> torch.Tensor:
        """The matrices [runs, len, out], with dropout if `step`, the number of the training step, is given."""
        rows = self.rows()
        if step is None or not self.dropout:
            return rows
        # The mask depends only on seed and step: a resumed training has the same dropout as an uninterrupted one.
        drawn = generators(self.seeds, self.salt + step + 1)
        kept = torch.stack([torch.rand(rows.shape[1:], generator=g) for g in drawn]) >= self.dropout
        return rows * to_device(rows.device, kept) / (1.0 - self.dropout)


class DirectParameters(PrefixEncoder):
    """No MLP: the matrix itself is the parameter, [runs, len, out] (the ablation of section 7.3)."""

    def __init__(
        self, length: int, out: int, seeds: list[int], dropout: float = 0.0, number: int = 0, std: float = 1.0
    ):
        """The matrix starts from normal random numbers of deviation `std`."""
        super().__init__(seeds, dropout, number)
        drawn = [torch.randn(length, out, generator=g) * std for g in generators(seeds, self.salt)]
        self.matrix = nn.Parameter(torch.stack(drawn))

    def rows(self) -> torch.Tensor:
        return self.matrix

    @torch.no_grad()
    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """Start from `target` [len, out] or [runs, len, out] exactly; `fit` is not used."""
        self.matrix.copy_(target.expand_as(self.matrix))  # [len, out] -> [runs, len, out]

    @torch.no_grad()
    def zero_columns(self, columns: torch.Tensor) -> None:
        self.matrix[..., columns] = 0.0


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
        number: int = 0,
        std: float = 1.0,
    ):
        """The embedding starts from normal random numbers of deviation `std`, the layers as nn.Linear does.

        `width`: width of the embedding; `hidden`: hidden units.
        """
        super().__init__(seeds, dropout, number)
        drawn = generators(seeds, self.salt)

        def uniform(fan_in: int, *size: int) -> nn.Parameter:
            """Initial values of a weight or bias, [runs, *size], as in nn.Linear."""
            bound = 1 / math.sqrt(fan_in)
            return nn.Parameter(torch.stack([torch.empty(size).uniform_(-bound, bound, generator=g) for g in drawn]))

        self.embedding = nn.Parameter(torch.stack([torch.randn(length, width, generator=g) * std for g in drawn]))
        self.down, self.down_bias = uniform(width, width, hidden), uniform(width, 1, hidden)
        self.up, self.up_bias = uniform(hidden, hidden, out), uniform(hidden, 1, out)

    def rows(self) -> torch.Tensor:
        hidden = product_by_run(self.embedding, self.down, self.down_bias).tanh()  # [runs, len, hidden]
        return product_by_run(hidden, self.up, self.up_bias)  # [runs, len, out]

    def init_from(self, target: torch.Tensor, fit: Fit) -> None:
        """Fit the layers, not the embedding, to `target` [len, out] or [runs, len, out] by mean squared error, as the
        authors do."""
        optimizer = torch.optim.Adam([self.down, self.down_bias, self.up, self.up_bias], lr=fit.lr, fused=True)
        for _ in range(fit.steps):
            rows = self.rows()
            loss = F.mse_loss(rows, target.expand_as(rows), reduction="none")
            loss.mean(dim=(1, 2)).sum().backward()  # the mean is per run, so that runs do not mix
            optimizer.step()
            self.zero_grad(set_to_none=True)

    @torch.no_grad()
    def zero_columns(self, columns: torch.Tensor) -> None:
        """Exact without a fit: the last layer gives zero there."""
        for parameter in (self.up, self.up_bias):
            parameter[..., columns] = 0.0


def prefix_encoder(
    length: int,
    out: int,
    width: int,
    hidden: int | None,
    seeds: list[int],
    dropout: float = 0.0,
    number: int = 0,
    std: float = 1.0,
) -> PrefixEncoder:
    """A prefix encoder with result [runs, `length`, `out`].

    `hidden` are the hidden units of an MLP over embeddings of `width`; None: no MLP, direct parameters. `std` is the
    deviation that embeddings or direct parameters start from; `dropout` and `number` are as in `PrefixEncoder`.
    """
    if hidden is None:
        return DirectParameters(length, out, seeds, dropout, number, std)
    return MLP(length, out, width, hidden, seeds, dropout, number, std)
