"""The optimisers of the recipes, each of which leaves runs that train side by side alone."""

from collections.abc import Callable

import torch
from transformers import Adafactor

from stages.core.run_config import Training

Optimizer = torch.optim.Optimizer


class RunsAdafactor(Adafactor):
    """transformers' Adafactor for parameters [runs, ...]: what it does to a run is what it would do to that run's own."""

    @staticmethod
    def _get_options(param_group, param_shape):
        """The second moment of a run is kept number by number: Lester et al.'s code factors none of a prompt's."""
        return False, param_group["beta1"] is not None

    @staticmethod
    def _rms(tensor: torch.Tensor) -> torch.Tensor:
        """[runs, 1, ...]"""
        each = tensor.reshape(len(tensor), -1).square().mean(1).sqrt()
        return each.view(-1, *[1] * (tensor.ndim - 1))


def adamw(parameters: list[torch.nn.Parameter], training: Training, by_run: bool) -> Optimizer:
    """Works number by number, whatever the dimensions are."""
    return torch.optim.AdamW(parameters, lr=training.lr, weight_decay=training.weight_decay, fused=True)


def adafactor(parameters: list[torch.nn.Parameter], training: Training, by_run: bool) -> Optimizer:
    """As Lester et al. 2021 have it: no first moment, no scaling by the parameters' size; beta2 is 1 - step^decay_rate.

    The second moments of the model's own matrices are factored, those of a run's parameters are not.
    """
    # The last two are no parameters: with either, `lr` would be no rate but a factor on one that Adafactor computes.
    return (RunsAdafactor if by_run else Adafactor)(
        parameters, lr=training.lr, weight_decay=training.weight_decay, decay_rate=training.decay_rate,
        scale_parameter=False, relative_step=False,
    )  # fmt: skip


# `by_run`: the parameters are [runs, ...]; else they are the model's own weights.
OPTIMIZERS: dict[str, Callable[[list[torch.nn.Parameter], Training, bool], Optimizer]] = {
    "adamw": adamw,
    "adafactor": adafactor,
}


def lr_factor(schedule: str, step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then what is: linear decay to zero behind the last step, or constant."""
    if step < warmup:
        return step / warmup
    return 1.0 if schedule == "constant" else (steps - step) / max(1, steps - warmup)
