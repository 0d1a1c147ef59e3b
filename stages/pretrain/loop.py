"""The pretraining loop of both embedded models: Muon for matrices, AdamW for the rest, one schedule, checkpoints."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from stages.core.sections import Section
from stages.training.checkpoint import Checkpoint

CHECKPOINT_SECONDS = 120
_CODE = ("attention", "loop", "loss", "primed")  # what decides the bytes of either model


class Optimizers:
    """Muon for the matrices of the blocks and AdamW for embeddings, norms and biases, under one schedule."""

    def __init__(self, model: nn.Module, blocks: str, muon_lr: float, adamw_lr: float, steps: int):
        """`blocks` is what the names of the blocks' parameters have in common, such as `.h.`."""
        named = list(model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and blocks in name]
        rest = [p for name, p in named if not (p.ndim == 2 and blocks in name)]
        self.all = (
            torch.optim.Muon(matrices, lr=muon_lr, weight_decay=0.0, adjust_lr_fn="original"),
            torch.optim.AdamW(rest, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.peaks, self.steps = (muon_lr, adamw_lr), steps

    def step(self, index: int) -> None:
        """Warm up over 6% of the steps, stay until 40%, fall linearly to 3% of the peak."""
        part = index / self.steps
        factor = min(1.0, part / 0.06) if part < 0.4 else 1.0 - 0.97 * (part - 0.4) / 0.6
        for optimizer, peak in zip(self.all, self.peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * max(factor, 0.01)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def checkpoint(chosen: Section, corpus: Path, *modules: str) -> AbstractContextManager[Checkpoint]:
    """The checkpoint of a training with these parameters on the file `corpus`; another code is another checkpoint.

    `modules` of this package are the code of this training alone.
    """
    code = (Path(__file__).with_name(f"{name}.py") for name in (*modules, *_CODE))
    return Checkpoint.of(chosen.model_dump(), corpus, *code)


def pretrain(
    model: nn.Module, loss_at: Callable[[int], torch.Tensor], optimizers: Optimizers, checkpoint: Checkpoint
) -> float:
    """Minimise `loss_at(step)` over the steps of `optimizers`, from the checkpoint if there is one.

    The caller removes the checkpoint once the model is saved. Returns the seconds of training, interruptions excluded.
    """
    first = checkpoint.restore(model, optimizers.all)
    before = checkpoint.more()["seconds"].item() if first else 0.0
    begun = saved = time.monotonic()
    bar = tqdm(range(first, optimizers.steps), initial=first, total=optimizers.steps, desc="pretrain", disable=None)
    for index in bar:
        loss = loss_at(index)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(index)
        if index % 20 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            seconds = before + time.monotonic() - begun
            checkpoint.save(model, optimizers.all, index + 1, {"seconds": torch.tensor(seconds)})
            saved = time.monotonic()
    return before + time.monotonic() - begun
