"""The runs of a low-data cell (section 6.3), 5 subsets x 2 seeds: in one batch, and one after another."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench import peer
from bench.inputs import POOL, Ids, clock, start_of
from bench.training import BATCH, HIDDEN, LR, begin_from, opened, training_of
from stages.methods.prefix import Prefix
from stages.models.encode import Examples
from stages.models.linear import pack
from stages.training.batches import BatchSampler
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train

SUBSETS, SEEDS, SIZE, LENGTH = 5, 2, 50, 10


def runs_of(ids: Ids) -> tuple[list[int], list[Examples]]:
    """Seed and examples of each run."""
    subsets = [ids.examples(SIZE * number, SIZE) for number in range(SUBSETS)]
    seeds, parts = zip(*product(range(1, SEEDS + 1), subsets), strict=True)
    return list(seeds), list(parts)


def per_token(losses: list[list[float]], ids: Ids) -> list[float]:
    """Of each step the mean over the target tokens of all runs, from the means of the runs, [runs][steps]."""
    steps = range(len(losses[0]))
    orders = [
        (BatchSampler(part.lengths.sum(1), BATCH, seed, POOL), part) for seed, part in zip(*runs_of(ids), strict=True)
    ]
    tokens = torch.tensor([[part.lengths[order.at(step), 1].sum() for step in steps] for order, part in orders])
    return ((torch.tensor(losses, dtype=torch.float64) * tokens).sum(0) / tokens.sum(0)).tolist()


def ours(home: str, name: str, steps: int, together: bool) -> dict:
    lm, ids, start = opened(home, name), Ids(home, name), start_of(home, name, LENGTH)
    pack(lm.model, gradients=True)
    seeds, parts = runs_of(ids)
    size = len(seeds) if together else 1

    def cell(steps: int) -> list[list[float]]:
        return [batch(seeds[i : i + size], parts[i : i + size], steps) for i in range(0, len(seeds), size)]

    def batch(seeds: list[int], parts: list[Examples], steps: int) -> list[float]:
        method = Prefix(lm, LENGTH, HIDDEN if start is None else None, seeds)
        if start is not None:
            begin_from(method, start)
        with TemporaryDirectory() as directory:
            checkpoint = Checkpoint(Path(directory) / "run" / "checkpoint.safetensors")
            _, points = train(lm, method, parts, parts, training_of(LENGTH, steps), checkpoint)
        return [point.loss for point in points]

    cell(1)  # warm-up
    began = clock()
    losses = cell(steps)
    seconds = clock() - began
    return {"seconds": seconds, "losses": losses[0] if together else per_token(losses, ids)}


def theirs(home: str, name: str, steps: int) -> dict:
    model, ids, start = peer.base(home, name, torch.float32), Ids(home, name), start_of(home, name, LENGTH)

    def cell(steps: int) -> list[list[float]]:
        losses = []
        for seed, examples in zip(*runs_of(ids), strict=True):
            peft = peer.prefixed(model, LENGTH, HIDDEN if start is None else None)
            peer.start_from(peft, seed) if start is None else peer.begin_from(peft, start)
            losses.append(peer.train(peft, examples, ids.before, seed, BATCH, LR, steps, 0)[0])
        return losses

    cell(1)
    began = clock()
    losses = cell(steps)
    seconds = clock() - began
    return {"seconds": seconds, "losses": per_token(losses, ids)}
