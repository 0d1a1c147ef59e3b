"""A cell of a table: runs that differ in seed and examples alone (section 6.3: 5 subsets x 2 seeds)."""

from collections.abc import Callable
from statistics import fmean

import torch

from stages.engine.checkpoint import Checkpoint
from stages.engine.encode import Examples
from stages.engine.model import LM
from stages.engine.train import Point, train
from stages.methods.method import Method
from stages.params import Training
from stages.sections import Train


def train_cell(
    lm: LM,
    build: Callable[[list[int]], Method],
    seeds: list[int],
    examples: list[Examples],
    dev: Examples,
    training: Training,
    options: Train,
    checkpoint: Callable[[list[int]], Checkpoint],
) -> tuple[dict[str, torch.Tensor], list[Point]]:
    """Train the method that `build` makes of seeds, run `i` on `examples[i]`; `checkpoint` names that of some seeds.

    Returns what the runs store, [runs, ...], and their mean curve. On a GPU, which a small batch leaves idle, all runs
    share their batches; on a CPU that gains nothing, and one is trained after another. The results are the same.
    """
    if lm.device.type == "cuda":
        return train(lm, build(seeds), examples, dev, training, options, checkpoint(seeds))
    each = [
        train(lm, build([seed]), [part], dev, training, options, checkpoint([seed]))
        for seed, part in zip(seeds, examples, strict=True)
    ]
    stored = {name: torch.cat([run[name] for run, _ in each]) for name in each[0][0]}
    curves = zip(*(points for _, points in each), strict=True)
    return stored, [Point(same[0].step, fmean(point.loss for point in same), same[0].lr) for same in curves]
