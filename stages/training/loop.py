"""The training loop: a model, runs of one method, one step for all of them (section 4.2).

Each run has its own loss, gradient norm and order of examples, and no optimiser mixes them. What a
run becomes therefore does not depend on the runs it trains with (unless the model's own dropout is at work).
"""

import math
import time
from dataclasses import astuple, dataclass

import torch
from tqdm import tqdm

from stages.core.errors import UserError
from stages.core.run_config import Training
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch
from stages.models.encode import Examples
from stages.models.model import LM
from stages.training.batches import BatchSampler
from stages.training.checkpoint import Checkpoint
from stages.training.method import Method
from stages.training.optimizer import OPTIMIZERS, lr_factor
from stages.training.step import backward, step_batches, target_losses

# A checkpoint is written so many seconds after the last one; later, if writing would cost more than this share of the time.
CHECKPOINT_SECONDS = 60
CHECKPOINT_SHARE = 0.05
CURVE_POINTS = 50


@dataclass(frozen=True)
class Point:
    """Of the curve: mean loss per target token since the last point, averaged over the runs."""

    step: int
    loss: float
    lr: float


@torch.no_grad()
def clip_each_run(parameters: list[torch.nn.Parameter], norm: float, runs: int) -> None:
    """Scale each run's gradient to at most `norm`, as clip_grad_norm_ does for one run.

    With several runs, they are the first dimension of each parameter.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(gradient.reshape(runs, -1), dim=1) for gradient in gradients]
    total = torch.linalg.vector_norm(torch.stack(norms), dim=0)  # [runs]
    scale = (norm / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


def steps_of(training: Training, examples: int) -> int:
    if training.steps is not None:
        return training.steps
    return max(1, round(training.epochs * -(-examples // training.batch_size)))


@torch.no_grad()
def dev_loss(lm: LM, adaptation: Adaptation, dev: list[Examples], batch_size: int) -> torch.Tensor:
    """Loss per target token of run `i` on `dev[i]`, [runs]; each in batches of its own, lest neighbours round it."""
    sums, counts = torch.zeros(2, len(dev), device=lm.device)
    for run, examples in enumerate(dev):
        own = adaptation.of(run)
        for chosen in examples.lengths.sum(1).argsort(stable=True).split(batch_size):
            part = [examples[i] for i in chosen.tolist()]
            total, count = target_losses(lm, own, Batch.of(part, [0] * len(part), lm.device))
            sums[run] += total.sum()
            counts[run] += count.sum()
    return sums / counts


class History:
    """What a training has seen: the curve, and what each run stored at its lowest dev loss."""

    def __init__(self, runs: int, device: torch.device):
        self.points: list[Point] = []
        self.since = torch.zeros(2, device=device)  # loss and target tokens since the last point
        self.best: dict[str, torch.Tensor] = {}
        self.best_loss = torch.full((runs,), torch.inf, device=device)

    def add_point(self, step: int, lr: float) -> None:
        """Raises UserError if the loss is no number any more."""
        loss = (self.since[0] / self.since[1]).item()
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}: the training diverged, try a lower train.lr")
        self.points.append(Point(step, loss, lr))
        self.since.zero_()

    def compare(self, stored: dict[str, torch.Tensor], loss: torch.Tensor) -> None:
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        for name, tensor in stored.items():
            self.best.setdefault(name, torch.zeros_like(tensor))[better] = tensor[better]

    def tensors(self) -> dict[str, torch.Tensor]:
        """All of it, for a checkpoint."""
        points = torch.tensor([astuple(point) for point in self.points], dtype=torch.float64).view(-1, 3)
        best = {f"best/{name}": tensor for name, tensor in self.best.items()}
        return {"points": points, "since": self.since, "best_loss": self.best_loss, **best}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        device = self.since.device
        self.points = [Point(int(step), loss, lr) for step, loss, lr in tensors["points"].tolist()]
        self.since, self.best_loss = (tensors[name].to(device) for name in ("since", "best_loss"))
        self.best = {name[5:]: tensor.to(device) for name, tensor in tensors.items() if name.startswith("best/")}


def train(
    lm: LM,
    method: Method,
    examples: list[Examples],
    dev: list[Examples],
    training: Training,
    checkpoint: Checkpoint,
) -> tuple[dict[str, torch.Tensor], list[Point]]:
    """Train the runs of `method`, run `i` on `examples[i]`; return what they store, [runs, ...], and the curve.

    With `training.eval_every`, each run keeps what it was at its lowest loss on its own `dev[i]`. Resumes from `checkpoint` if
    it exists; who keeps what is returned removes it. Raises UserError if the loss diverges.
    """
    parameters, runs = method.trainable_parameters(), len(method.seeds)
    orders = [
        BatchSampler(part.lengths.sum(1), training.batch_size, seed, training.length_pool)
        for part, seed in zip(examples, method.seeds, strict=True)
    ]
    uniform_length = runs == 1 and orders[0].by_length
    steps = steps_of(training, len(examples[0]))
    if not steps:
        return method.state(), []
    optimizer = OPTIMIZERS[training.optimizer](parameters, training, not method.own_weights)
    history = History(runs, lm.device)
    first = checkpoint.restore(method, [optimizer])
    if first:
        history.restore(checkpoint.more())
    due = time.monotonic() + CHECKPOINT_SECONDS
    for step in tqdm(range(first, steps), initial=first, total=steps, desc="train", disable=None):
        chosen = [(run, i) for run, order in enumerate(orders) for i in order.at(step)]
        batches = step_batches(chosen, examples, training.batch_size, uniform_length, lm.device)
        if training.lm_dropout:
            lm.model.train()
            torch.manual_seed(method.seeds[0] * 1_000_003 + step)  # a resumed training drops what this one does
        history.since += backward(lm, method(step), batches, runs, training.loss)
        lm.model.eval()  # behind the backward pass, which may compute blocks again
        if training.clip_norm is not None:
            clip_each_run(parameters, training.clip_norm, runs)
        factor = lr_factor(training.schedule, step, training.warmup_steps, steps)
        lr = optimizer.param_groups[0]["lr"] = training.lr * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done, last = step + 1, step + 1 == steps
        if done % max(1, steps // CURVE_POINTS) == 0 or last:
            history.add_point(done, lr)
        if training.eval_every and (done % training.eval_every == 0 or last):
            with torch.no_grad():
                history.compare(method.state(), dev_loss(lm, method(), dev, training.batch_size))
        if time.monotonic() > due:
            begun = time.monotonic()
            checkpoint.save(method, [optimizer], done, history.tensors())
            ended = time.monotonic()
            due = ended + max(CHECKPOINT_SECONDS, (ended - begun) / CHECKPOINT_SHARE)
    if training.eval_every and not history.best_loss.isfinite().all():
        raise UserError("the loss on the dev split was never a number: the training diverged, try a lower train.lr")
    return history.best if training.eval_every else method.state(), history.points
