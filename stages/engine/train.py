"""The training loop: a frozen model, prefixes of one or more runs, one batch for all of them (section 4.2).

Each run has its own loss, gradient norm and order of examples; AdamW works element by element. What a
run becomes therefore does not depend on the runs it trains with.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from tqdm import tqdm

from stages.engine.batches import IGNORED, Batch, Example, Order, collate
from stages.engine.checkpoint import Checkpoint
from stages.engine.model import FrozenLM
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


class Best:
    """The prefix with the lowest dev loss so far, for each run of its own."""

    def __init__(self, prefix: torch.Tensor):
        self.prefix, self.loss = torch.zeros_like(prefix), torch.full((len(prefix),), torch.inf, device=prefix.device)

    def update(self, prefix: torch.Tensor, loss: torch.Tensor) -> None:
        better = loss < self.loss
        self.loss = torch.where(better, loss, self.loss)
        self.prefix[better] = prefix[better]


def train(
    lm: FrozenLM,
    method: Prefix,
    examples: list[list[Example]],
    dev: list[Example],
    training: Training,
    options: Train,
    checkpoint: Checkpoint,
    on_point: Callable[[Point], None],
) -> torch.Tensor:
    """Train the runs of `method`, run `i` on `examples[i]`, and return their prefixes.

    Resumes from `checkpoint` if it exists and removes it at the end. The result is
    `[runs, layers, 2, kv_heads, len, head_dim]`, without gradient.
    """
    runs, parameters = len(examples), list(method.parameters())
    orders = [Order(part, training.batch_size, seed) for part, seed in zip(examples, method.seeds, strict=True)]
    steps = steps_of(training, len(examples[0]))
    optimizer = torch.optim.AdamW(parameters, lr=training.lr, weight_decay=options.weight_decay)
    best = Best(method().detach())
    first = checkpoint.restore(method, [optimizer])
    recorded = torch.zeros(2, device=lm.device)  # loss and target tokens since the last point
    if first:
        more = checkpoint.more()
        best.prefix, best.loss, recorded = (
            more[name].to(lm.device) for name in ("best_prefix", "best_loss", "recorded")
        )
        for point in more["curve"].tolist():
            on_point(Point(int(point[0]), point[1], point[2]))
    curve = more["curve"].tolist() if first else []
    saved = time.monotonic()
    for step in tqdm(range(first, steps), initial=first, total=steps, desc="train", disable=None):
        chosen = [(run, i) for run, order in enumerate(orders) for i in order.at(step)]
        batch = collate([examples[run][i] for run, i in chosen], [run for run, _ in chosen], lm.device)
        sums, counts = target_losses(lm, method(step), batch)
        run_losses(sums, counts, batch, runs, options.loss).sum().backward()
        clip_each_run(parameters, options.clip_norm)
        lr = training.lr * lr_factor(step, training.warmup_steps, steps)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recorded += torch.stack([sums.detach().sum(), counts.sum()])
        if (step + 1) % max(1, steps // CURVE_POINTS) == 0 or step + 1 == steps:
            curve.append([step + 1, (recorded[0] / recorded[1]).item(), lr])
            on_point(Point(*curve[-1]))
            recorded.zero_()
        if options.eval_every and ((step + 1) % options.eval_every == 0 or step + 1 == steps):
            prefix = method().detach()
            best.update(prefix, dev_loss(lm, prefix, dev, training.batch_size))
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            state = {"best_prefix": best.prefix, "best_loss": best.loss, "recorded": recorded}
            curve_tensor = torch.tensor(curve, dtype=torch.float64).view(-1, 3)
            checkpoint.save(method, [optimizer], step + 1, curve=curve_tensor, **state)
            saved = time.monotonic()
    checkpoint.remove()
    return best.prefix if options.eval_every else method().detach()
