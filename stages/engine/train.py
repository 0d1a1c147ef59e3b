"""The training loop: a frozen model, prefixes of one or more runs, one batch for all of them (section 4.2).

Each run has its own loss, gradient norm and order of examples; AdamW works element by element. What a
run becomes therefore does not depend on the runs it trains with.
"""

import math
import time
from dataclasses import astuple, dataclass

import torch
from torch.nn import functional as F
from tqdm import tqdm

from stages.engine.batches import IGNORED, Batch, Example, Order, collate
from stages.engine.checkpoint import Checkpoint
from stages.engine.model import FrozenLM
from stages.errors import UserError
from stages.methods.cache import prefix_cache
from stages.methods.prefix import Prefix
from stages.params import Train, Training

CHECKPOINT_SECONDS = 60
CURVE_POINTS = 50


@dataclass(frozen=True)
class Point:
    """Of the curve: mean loss per target token since the last point, averaged over the runs."""

    step: int
    loss: float
    lr: float


def target_losses(lm: FrozenLM, prefix: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropies of each row's target tokens and their number, both [batch].

    `prefix` is [runs, layers, 2, kv_heads, len, head_dim]; the text's positions start behind it.
    """
    length = prefix.shape[4]
    mask = torch.cat([batch.mask.new_ones(len(batch.ids), length), batch.mask], dim=1)
    positions = length + torch.arange(batch.ids.shape[1], device=batch.ids.device).expand_as(batch.ids)
    hidden = lm.hidden(batch.ids, mask, positions, prefix_cache(prefix, batch.runs))
    counted = batch.labels != IGNORED
    # Only target positions meet the output matrix.
    losses = F.cross_entropy(lm.logits(hidden[counted]).float(), batch.labels[counted], reduction="none")
    rows = counted.nonzero()[:, 0]
    return losses.new_zeros(len(batch.ids)).index_add(0, rows, losses), counted.sum(1)


def run_losses(sums: torch.Tensor, counts: torch.Tensor, batch: Batch, runs: int, kind: str) -> torch.Tensor:
    """The loss of each run, [runs]: per sequence the sum, then the mean; or the mean over target tokens."""
    size = counts if kind == "token_mean" else torch.ones_like(counts)
    per_run = sums.new_zeros(runs)
    return per_run.index_add(0, batch.runs, sums) / per_run.index_add(0, batch.runs, size.to(sums))


@torch.no_grad()
def clip_each_run(parameters: list[torch.nn.Parameter], norm: float) -> None:
    """Scale each run's gradient to at most `norm`, as clip_grad_norm_ does for one run."""
    total = sum(p.grad.flatten(1).square().sum(1) for p in parameters).sqrt()  # [runs]
    scale = (norm / (total + 1e-6)).clamp(max=1.0)
    for p in parameters:
        p.grad.mul_(scale.view(-1, *[1] * (p.ndim - 1)))


def steps_of(training: Training, examples: int) -> int:
    if training.steps is not None:
        return training.steps
    return max(1, round(training.epochs * -(-examples // training.batch_size)))


def lr_factor(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero behind the last step."""
    if step < warmup:
        return step / warmup
    return (steps - step) / max(1, steps - warmup)


@torch.no_grad()
def dev_loss(lm: FrozenLM, prefix: torch.Tensor, examples: list[Example], batch_size: int) -> torch.Tensor:
    """Loss per target token of each run on the same examples, [runs]."""
    sums = counts = 0
    ordered = sorted(examples, key=lambda example: len(example.ids))
    for start in range(0, len(ordered), batch_size):
        part = ordered[start : start + batch_size]
        for run in range(len(prefix)):
            total, count = target_losses(lm, prefix[run : run + 1], collate(part, [0] * len(part), lm.device))
            one = F.one_hot(torch.tensor(run, device=total.device), len(prefix))
            sums, counts = sums + one * total.sum(), counts + one * count.sum()
    return sums / counts


class History:
    """What a training has seen: the curve, and for each run the prefix with its lowest dev loss."""

    def __init__(self, prefix: torch.Tensor):
        self.points: list[Point] = []
        self.since = torch.zeros(2, device=prefix.device)  # loss and target tokens since the last point
        self.best = torch.zeros_like(prefix)
        self.best_loss = torch.full((len(prefix),), torch.inf, device=prefix.device)

    def add_point(self, step: int, lr: float) -> None:
        """Raises UserError if the loss is no number any more."""
        loss = (self.since[0] / self.since[1]).item()
        if not math.isfinite(loss):
            raise UserError(f"the loss is {loss} at step {step}: the training diverged, try a lower train.lr")
        self.points.append(Point(step, loss, lr))
        self.since.zero_()

    def compare(self, prefix: torch.Tensor, loss: torch.Tensor) -> None:
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best[better] = prefix[better]

    def tensors(self) -> dict[str, torch.Tensor]:
        """All of it, for a checkpoint."""
        points = torch.tensor([astuple(point) for point in self.points], dtype=torch.float64).view(-1, 3)
        return {"points": points, "since": self.since, "best": self.best, "best_loss": self.best_loss}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        self.points = [Point(int(step), loss, lr) for step, loss, lr in tensors["points"].tolist()]
        self.since, self.best, self.best_loss = (
            tensors[name].to(self.since.device) for name in ("since", "best", "best_loss")
        )


def train(
    lm: FrozenLM,
    method: Prefix,
    examples: list[list[Example]],
    dev: list[Example],
    training: Training,
    options: Train,
    checkpoint: Checkpoint,
) -> tuple[torch.Tensor, list[Point]]:
    """Train the runs of `method`, run `i` on `examples[i]`; return their prefixes and the curve.

    Resumes from `checkpoint` if it exists and removes it at the end. The prefixes are
    `[runs, layers, 2, kv_heads, len, head_dim]`, without gradient. Raises UserError if the loss diverges.
    """
    parameters = list(method.parameters())
    orders = [Order(part, training.batch_size, seed) for part, seed in zip(examples, method.seeds, strict=True)]
    steps = steps_of(training, len(examples[0]))
    optimizer = torch.optim.AdamW(parameters, lr=training.lr, weight_decay=options.weight_decay)
    history = History(method().detach())
    first = checkpoint.restore(method, [optimizer])
    if first:
        history.restore(checkpoint.more())
    saved = time.monotonic()
    for step in tqdm(range(first, steps), initial=first, total=steps, desc="train", disable=None):
        chosen = [(run, i) for run, order in enumerate(orders) for i in order.at(step)]
        batch = collate([examples[run][i] for run, i in chosen], [run for run, _ in chosen], lm.device)
        sums, counts = target_losses(lm, method(step), batch)
        run_losses(sums, counts, batch, len(examples), options.loss).sum().backward()
        clip_each_run(parameters, options.clip_norm)
        lr = optimizer.param_groups[0]["lr"] = training.lr * lr_factor(step, training.warmup_steps, steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        history.since += torch.stack([sums.detach().sum(), counts.sum()])
        done, last = step + 1, step + 1 == steps
        if done % max(1, steps // CURVE_POINTS) == 0 or last:
            history.add_point(done, lr)
        if options.eval_every and (done % options.eval_every == 0 or last):
            prefix = method().detach()
            history.compare(prefix, dev_loss(lm, prefix, dev, training.batch_size))
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            checkpoint.save(method, [optimizer], done, history.tensors())
            saved = time.monotonic()
    checkpoint.remove()
    return history.best if options.eval_every else method().detach(), history.points
