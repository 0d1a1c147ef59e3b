"""The training loop: a model, runs of one method, one step for all of them (section 4.2).

Several runs can train in one batch. Each run has its own loss, gradient norm and order of examples, and no optimizer
mixes them. The result of a run therefore does not depend on the other runs, unless the model's own dropout is on.
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

# Seconds between two checkpoints; more if writing them would take more than this share of the training time.
CHECKPOINT_SECONDS = 60
CHECKPOINT_SHARE = 0.05
CURVE_POINTS = 50


@dataclass(frozen=True)
class Point:
    """A point of the training curve.

    `step` counts the steps done; `loss` is the mean loss since the last point, in nats per target token over all runs;
    `lr` is the learning rate of the step.
    """

    step: int
    loss: float
    lr: float


@torch.no_grad()
def clip_each_run(parameters: list[torch.nn.Parameter], norm: float, runs: int) -> None:
    """Scale the gradient of each run in place to a norm of at most `norm`, as clip_grad_norm_ does for one run.

    With several runs, each parameter is [runs, ...]. With one run, parameters may have any shape.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(gradient.reshape(runs, -1), dim=1) for gradient in gradients]  # each [runs]
    total = torch.linalg.vector_norm(torch.stack(norms), dim=0)  # [runs]
    scale = (norm / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))  # scale: [runs] -> [runs, 1, ...]


def steps_of(training: Training, examples: int) -> int:
    """The number of training steps on `examples` examples: `training.steps`, or else what `training.epochs` come to."""
    if training.steps is not None:
        return training.steps
    return max(1, round(training.epochs * -(-examples // training.batch_size)))


@torch.no_grad()
def dev_loss(lm: LM, adaptation: Adaptation, dev: list[Examples], batch_size: int) -> torch.Tensor:
    """The dev loss of each run, [runs], in nats per target token: run `i` on `dev[i]`.

    Each run is computed in separate batches of `batch_size`, so that other runs do not change how its loss is rounded.
    """
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
    """The training curve, and the state of each run at its lowest dev loss.

    `points` is the curve, `best` the state by tensor name, [runs, ...], `best_loss` [runs] the lowest dev loss in nats
    per target token. All of it goes into a checkpoint (`tensors`) and comes back from one (`restore`).
    """

    def __init__(self, runs: int, device: torch.device):
        self.points: list[Point] = []
        self.since = torch.zeros(2, device=device)  # sum of losses (nats) and target tokens since the last point
        self.best: dict[str, torch.Tensor] = {}
        self.best_loss = torch.full((runs,), torch.inf, device=device)

    def add_point(self, step: int, lr: float) -> None:
        """Add a point to the curve: the mean loss since the last one. Raises UserError if the loss is not finite."""
        loss = (self.since[0] / self.since[1]).item()
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}: the training diverged, try a lower train.lr")
        self.points.append(Point(step, loss, lr))
        self.since.zero_()

    def compare(self, stored: dict[str, torch.Tensor], loss: torch.Tensor) -> None:
        """Keep the state of each run whose dev loss is the lowest so far.

        `stored` is `Method.state()`, [runs, ...] by name; `loss` [runs] is the dev loss in nats per target token.
        A run without improvement keeps what it had. A loss that is not a number is never an improvement.
        """
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        for name, tensor in stored.items():
            self.best.setdefault(name, torch.zeros_like(tensor))[better] = tensor[better]

    def tensors(self) -> dict[str, torch.Tensor]:
        """All of the history as tensors by name, for a checkpoint."""
        points = torch.tensor([astuple(point) for point in self.points], dtype=torch.float64).view(-1, 3)
        best = {f"best/{name}": tensor for name, tensor in self.best.items()}
        return {"points": points, "since": self.since, "best_loss": self.best_loss, **best}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over what `tensors` gave, on the device of this history."""
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
    """Train the runs of `method` on the frozen `lm`: run `i` on `examples[i]`.

    Returns the state of the runs (`Method.state`: tensors [runs, ...] by name) and the training curve. With
    `training.eval_every`, the state of each run is the one with the lowest loss on its `dev[i]`; otherwise that of the
    last step. Resumes from `checkpoint` if it exists; the caller deletes it after saving the state.
    Raises UserError if the loss diverges.
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
        lm.model.eval()  # after the backward pass, which may compute blocks again
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
