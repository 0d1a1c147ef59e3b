"""The embedded counterpart of E2E: generated restaurants in the challenge's own files.

No name is shared between the splits, nor with the pretraining corpus (see `stages/world/names.py`),
so every restaurant of the test set is one that no stage has seen.
"""

import csv
from pathlib import Path
from random import Random

from stages.core.files import replacing
from stages.scoring.e2e import E2E
from stages.tasks import Task
from stages.tasks.common.generated import GeneratedTexts
from stages.tasks.e2e import SHOWN, SPLITS, linearize
from stages.world.domains import RESTAURANT, draw_record
from stages.world.grammar import realise


def rows(split: str, count: int, references: int, seed: int) -> list[tuple[str, str]]:
    """(meaning representation, reference) for `count` distinct restaurants of a split."""
    rng = Random(f"{seed}/{split}")
    made: dict[str, list[str]] = {}
    while len(made) < count:
        record = draw_record(rng, RESTAURANT, who=split)
        mr = ", ".join(f"{key}[{value}]" for key, value in record.pairs())
        if mr not in made:
            said = rng.randint(references // 2 + 1, max(references // 2 + 1, references + references // 2 - 1))
            made[mr] = [realise(rng, record.name, record.noun, record.facts) for _ in range(said)]
    return [(mr, reference) for mr, said in made.items() for reference in said]


def download(source: GeneratedTexts, out: Path) -> None:
    """Write the three official files into the directory `out`."""
    with replacing(out) as directory:
        directory.mkdir()
        for split, file in SPLITS.items():
            with open(directory / file, "w", encoding="utf-8", newline="") as lines:
                writer = csv.writer(lines)
                writer.writerow(["mr", "ref"])
                writer.writerows(rows(split, getattr(source, split), source.references, source.seed))


TASKS = {"mini_e2e": Task(GeneratedTexts, download, linearize, metrics=E2E, shown=SHOWN, recipe="e2e")}
