"""One training step: the loss of each run, and its gradients with respect to the trainable parameters."""

from dataclasses import replace

import torch

from stages.models.adaptation import Adaptation
from stages.models.batches import Batch
from stages.models.encode import Examples
from stages.models.model import LM
from stages.training.loss import token_losses

# The fixed cost of one forward and backward pass, in tokens (mini-gpt2 on one core).
PASS = 150


def target_losses(lm: LM, adaptation: Adaptation, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each row of a batch, summed over its target tokens (nats), and the number of these, both [batch].

    Logits are computed only at target positions.
    """
    with lm.computing():
        hidden = lm.target_hidden(batch, adaptation)  # [tokens, width], the target positions of all rows
        losses = token_losses(hidden, batch.labels, lm.logits, lm.vocabulary, lm.frozen)  # [tokens]
    return losses.new_zeros(len(batch.examples)).index_add(0, batch.rows, losses), token_counts(batch)


def token_counts(batch: Batch) -> torch.Tensor:
    """The number of target tokens of each row, [batch]."""
    empty = torch.zeros(len(batch.examples), device=batch.rows.device)
    return empty.index_add(0, batch.rows, torch.ones(len(batch.rows), device=empty.device))


def run_sizes(batches: list[Batch], runs: int, kind: str) -> torch.Tensor:
    """The divisor of each run's summed loss, [runs]: its target tokens (`token_mean`) or its rows (`sequence_sum`)."""
    sizes = torch.zeros(runs, device=batches[0].runs.device)
    for batch in batches:
        counts = token_counts(batch)
        sizes = sizes.index_add(0, batch.runs, counts if kind == "token_mean" else torch.ones_like(counts))
    return sizes


def run_losses(sums: torch.Tensor, of: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """What these rows contribute to the loss of each run, [runs].

    `sums` [batch] are the rows' losses, `of` [batch] the index of each row's run, `sizes` [runs] from `run_sizes`.
    """
    return torch.zeros_like(sizes).index_add(0, of, sums) / sizes


def step_batches(
    chosen: list[tuple[int, int]], examples: list[Examples], size: int, uniform_length: bool, device: torch.device
) -> list[Batch]:
    """Make batches of the rows of one step; `chosen` names each as (run, index in `examples[run]`).

    On a GPU, or if the rows are of `uniform_length`, there is one batch. On a CPU, padding takes as long as text:
    the rows are sorted by length and cut into several batches, of at most `size` rows where little padding is saved.
    """
    parts = [chosen]
    if device.type == "cpu" and not uniform_length:
        lengths = {row: int(examples[row[0]].lengths[row[1]].sum()) for row in chosen}
        by_length = sorted(chosen, key=lengths.__getitem__)
        parts = _cut(by_length, [lengths[row] for row in by_length], size)
    return [Batch.of([examples[run][i] for run, i in part], [run for run, _ in part], device) for part in parts]


def _cut(rows: list[tuple[int, int]], lengths: list[int], size: int) -> list[list[tuple[int, int]]]:
    """Cut rows, sorted by ascending length, where it saves the most padding, if it saves more than a pass costs."""
    saved = [cut * (lengths[-1] - lengths[cut - 1]) for cut in range(1, len(rows))]
    if max(saved, default=0) < PASS:
        each = -(-len(rows) // -(-len(rows) // size))  # parts of equal size, but for the last
        return [rows[start : start + each] for start in range(0, len(rows), each)]
    cut = saved.index(max(saved)) + 1
    return _cut(rows[:cut], lengths[:cut], size) + _cut(rows[cut:], lengths[cut:], size)


def backward(lm: LM, adaptation: Adaptation, batches: list[Batch], runs: int, kind: str) -> torch.Tensor:
    """Compute the loss of every run and add its gradients to the trainable parameters.

    `kind` is the loss of a run: its summed loss per row (`sequence_sum`) or per target token (`token_mean`).
    Returns [2]: the losses of all rows summed (nats), and their number of target tokens.
    """
    sizes, seen = run_sizes(batches, runs, kind), torch.zeros(2, device=lm.device)
    # The batches share the prefixes. Their gradients are summed first, so that the parameters that make the prefixes
    # (such as an MLP) need one backward pass instead of one per batch.
    made = {site: prefix for site, prefix in adaptation.prefixes.items() if prefix.requires_grad and len(batches) > 1}
    leaves = {site: prefix.detach().requires_grad_() for site, prefix in made.items()}
    adaptation = replace(adaptation, prefixes={**adaptation.prefixes, **leaves})
    # autocast keeps the weights that it has cast until the outermost context ends: here, for all batches of the step.
    with torch.autocast(lm.device.type, enabled=False):
        for batch in batches:
            sums, counts = target_losses(lm, adaptation, batch)
            run_losses(sums, batch.runs, sizes).sum().backward(retain_graph=batch is not batches[-1])
            seen += torch.stack([sums.detach().sum(), counts.sum()])
    if made:
        torch.autograd.backward(list(made.values()), [leaves[site].grad for site in made])
    return seen
