"""A step of training: the losses of the runs' rows, and the gradients of what steers them."""

from dataclasses import replace

import torch

from stages.models.adaptation import Adaptation
from stages.models.batches import Batch
from stages.models.encode import Examples
from stages.models.model import LM
from stages.training.loss import token_losses

# What a pass through the model costs beside its tokens, in tokens (mini-gpt2 on a core).
PASS = 150


def target_losses(lm: LM, adaptation: Adaptation, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropies of each row's target tokens and their number, both [batch]."""
    with lm.computing():
        hidden = lm.target_hidden(batch, adaptation)  # only target positions meet the output matrix
        losses = token_losses(hidden, batch.labels, lm.logits, lm.vocabulary, lm.frozen)
    return losses.new_zeros(len(batch.examples)).index_add(0, batch.rows, losses), token_counts(batch)


def token_counts(batch: Batch) -> torch.Tensor:
    """How many target tokens each row has, [batch]."""
    empty = torch.zeros(len(batch.examples), device=batch.rows.device)
    return empty.index_add(0, batch.rows, torch.ones(len(batch.rows), device=empty.device))


def run_sizes(batches: list[Batch], runs: int, kind: str) -> torch.Tensor:
    """What the sum of each run's losses is divided by, [runs]: its target tokens, or its rows."""
    sizes = torch.zeros(runs, device=batches[0].runs.device)
    for batch in batches:
        counts = token_counts(batch)
        sizes = sizes.index_add(0, batch.runs, counts if kind == "token_mean" else torch.ones_like(counts))
    return sizes


def run_losses(sums: torch.Tensor, of: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """The share of these rows in the loss of each run, [runs]; row `i` is of run `of[i]`."""
    return torch.zeros_like(sizes).index_add(0, of, sums) / sizes


def step_batches(
    chosen: list[tuple[int, int]], examples: list[Examples], size: int, uniform_length: bool, device: torch.device
) -> list[Batch]:
    """The rows (run, example) of a step: in one batch on a GPU, or if they are `uniform_length` in length; on a CPU, where padding takes
    as long as text, in several, of similar length and of at most `size` rows: as many as one run has."""
    parts = [chosen]
    if device.type == "cpu" and not uniform_length:
        lengths = {row: int(examples[row[0]].lengths[row[1]].sum()) for row in chosen}
        by_length = sorted(chosen, key=lengths.__getitem__)
        parts = _cut(by_length, [lengths[row] for row in by_length], size)
    return [Batch.of([examples[run][i] for run, i in part], [run for run, _ in part], device) for part in parts]


def _cut(rows: list[tuple[int, int]], lengths: list[int], size: int) -> list[list[tuple[int, int]]]:
    """Rows that ascend in length, cut where it saves the most padding, as long as this is more than a pass costs."""
    saved = [cut * (lengths[-1] - lengths[cut - 1]) for cut in range(1, len(rows))]
    if max(saved, default=0) < PASS:
        each = -(-len(rows) // -(-len(rows) // size))  # as even as can be
        return [rows[start : start + each] for start in range(0, len(rows), each)]
    cut = saved.index(max(saved)) + 1
    return _cut(rows[:cut], lengths[:cut], size) + _cut(rows[cut:], lengths[cut:], size)


def backward(lm: LM, adaptation: Adaptation, batches: list[Batch], runs: int, kind: str) -> torch.Tensor:
    """Add the gradients of the losses of all runs; return the sum of the rows' losses and their target tokens, [2].

    The loss of a run is the mean over its rows of each one's sum (`sequence_sum`), or over target tokens (`token_mean`).
    """
    sizes, seen = run_sizes(batches, runs, kind), torch.zeros(2, device=lm.device)
    # What makes the prefixes is passed once, behind all batches.
    made = {place: prefix for place, prefix in adaptation.prefixes.items() if prefix.requires_grad and len(batches) > 1}
    held = {place: prefix.detach().requires_grad_() for place, prefix in made.items()}
    adaptation = replace(adaptation, prefixes={**adaptation.prefixes, **held})
    for batch in batches:
        sums, counts = target_losses(lm, adaptation, batch)
        run_losses(sums, batch.runs, sizes).sum().backward(retain_graph=batch is not batches[-1])
        seen += torch.stack([sums.detach().sum(), counts.sum()])
    if made:
        torch.autograd.backward(list(made.values()), [held[place].grad for place in made])
    return seen
