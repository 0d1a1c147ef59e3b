"""An example of a task (docs/tasks.md): sentences about the colours and places of things, drawn at random.

Copied to stages/tasks/toy_task.py, with its section of `sources` in params.yaml, it is the task `toy_task`.
"""

import csv
from itertools import product
from pathlib import Path
from random import Random

from stages.core.errors import UserError
from stages.core.files import replacing
from stages.core.record import Record
from stages.core.sections import Count, Section
from stages.scoring.e2e import E2E
from stages.tasks import Linearize, Shown, Task

SPLITS = ("train", "dev", "test")
THINGS = ("ball", "boat", "box", "chair", "cup", "door", "hat", "kite", "lamp", "table")
COLOURS = ("black", "blue", "brown", "green", "grey", "pink", "red", "white", "yellow")
PLACES = ("garden", "hall", "kitchen", "shop", "street")


class ToySource(Section):
    """The section `sources.toy_task` of params.yaml: a seed, and how many things each split has."""

    seed: int
    train: Count
    dev: Count
    test: Count


def download(source: ToySource, out: Path) -> None:
    """Write train, dev and test.csv into the directory `out`, or nothing. No two rows are alike."""
    rows = list(product(THINGS, COLOURS, PLACES))
    if source.train + source.dev + source.test > len(rows):
        raise UserError(f"params.yaml: sources.toy_task: train, dev and test are more than {len(rows)} together")
    Random(source.seed).shuffle(rows)
    with replacing(out) as directory:
        directory.mkdir()
        for split in SPLITS:
            own = [rows.pop() for _ in range(getattr(source, split))]
            with open(directory / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("thing", "colour", "place"), *own])


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split: what a model reads, and the texts that are right."""
    splits = {}
    for split in SPLITS:
        with open(raw / f"{split}.csv", encoding="utf-8", newline="") as file:
            splits[split] = [
                Record(
                    id=f"{split}-{number:05d}",
                    source=f"thing : {row['thing']} | colour : {row['colour']} | place : {row['place']}",
                    targets=[
                        f"The {row['thing']} in the {row['place']} is {row['colour']}.",
                        f"There is a {row['colour']} {row['thing']} in the {row['place']}.",
                    ],
                )
                for number, row in enumerate(csv.DictReader(file))
            ]
    return splits


TASKS = {
    "toy_task": Task(
        source=ToySource,
        download=download,
        linearize=linearize,
        metrics=E2E,
        shown=Shown(figures=("BLEU", "ROUGE_L"), percent=("BLEU", "ROUGE_L")),
        recipe="e2e",
    )
}
