"""The optimizers of the recipes. None of them mixes the runs that train in one batch."""

from collections.abc import Callable

import torch
from transformers import Adafactor

from stages.core.run_config import Training

Optimizer = torch.optim.Optimizer


class RunsAdafactor(Adafactor):
    """transformers' Adafactor for parameters [runs, ...]: each run is updated as if it trained alone."""

    @staticmethod
    def _get_options(param_group, param_shape):
        """The second moment is not factored (the first value), as in the code of Lester et al. 2021 for a prompt."""
        return False, param_group["beta1"] is not None

    @staticmethod
    def _rms(tensor: torch.Tensor) -> torch.Tensor:
        """The root mean square of each run, [runs, 1, ...], from [runs, ...]."""
        each = tensor.reshape(len(tensor), -1).square().mean(1).sqrt()  # [runs]
        return each.view(-1, *[1] * (tensor.ndim - 1))  # [runs, 1, ...]


def adamw(parameters: list[torch.nn.Parameter], training: Training, by_run: bool) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019). It is elementwise, so that it never mixes runs."""
    return torch.optim.AdamW(parameters, lr=training.lr, weight_decay=training.weight_decay, fused=True)


def adafactor(parameters: list[torch.nn.Parameter], training: Training, by_run: bool) -> Optimizer:
    """Adafactor as in Lester et al. 2021: no first moment, no scaling by the parameters' size.

    beta2 is 1 - step^decay_rate. The second moments of the model's own matrices are factored, those of a run are not.
    """
    # params.yaml does not offer the last two options: with either, Adafactor would multiply `lr` by a computed rate.
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
    """The factor on the learning rate at a step, counted from 0.

    It grows linearly from 0 during `warmup` steps. Then it stays 1 (`constant`), or decays linearly to 0 after the last
    of all `steps` (`linear`).
    """
    if step < warmup:
        return step / warmup
    return 1.0 if schedule == "constant" else (steps - step) / max(1, steps - warmup)
