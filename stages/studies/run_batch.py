"""Trains some runs of a cell in one batch, and decodes with them, in one process.

Results go to `<run>/` in the cell's scratch directory. A killed process resumes: training from its last checkpoint,
decoding after its last stored batch.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.core.run_config import RunConfig
from stages.core.sampling import sample
from stages.run import Data, load_runs, open_model, predict, prepare
from stages.studies.costs import DECODE, TRAIN, CostedCheckpoint, keep_stored, measured
from stages.studies.plan import Plan, Run
from stages.studies.selection import records_to_decode, training_groups

MODEL = "model"
_TEXTS = "hypotheses.json"


def run_batch(plan: Plan, config: RunConfig, runs: list[Run], directory: Path) -> None:
    """Train the runs, and write their hypotheses for the test records to `directory` (see `hypotheses_of`).

    Raises UserError that names study, cell and run.
    """
    if all(done(run, directory) for run in runs):
        return
    with named(plan, runs):
        train(plan, config, runs, directory)
        for run in runs:
            keep_stored(directory / run.name, directory / run.name / MODEL)
        # All runs, even if some are decoded already: the rows of a batch change each other's rounding.
        with measured(DECODE, [directory / run.name for run in runs]):
            _decode(plan, config, runs, directory)
    for run in runs:
        shutil.rmtree(directory / run.name / MODEL)


def done(run: Run, directory: Path) -> bool:
    """Whether the hypotheses of a run are written."""
    return (directory / run.name / _TEXTS).exists()


def hypotheses_of(run: Run, directory: Path) -> list[tuple[str, str]]:
    """The id and the hypothesis of each test record."""
    return [(name, text) for name, text in read_json(directory / run.name / _TEXTS)]


@contextlib.contextmanager
def named(plan: Plan, runs: list[Run]) -> Iterator[None]:
    """Add study, cell and runs to the message of a UserError inside the block."""
    try:
        yield
    except UserError as error:
        which = ", ".join(f"subset {run.subset} seed {run.seed}" for run in runs)
        raise UserError(f"study {plan.study}, cell {plan.name}, {which}: {error}") from error


def train(plan: Plan, config: RunConfig, runs: list[Run], directory: Path) -> None:
    """Train the runs in one batch and save each to `<run>/model`; nothing is done if all are saved already.

    Raises UserError if the data do not fit the model, or if the training diverges.
    """
    if all((directory / run.name / MODEL).exists() for run in runs):
        return
    groups = training_groups(plan)

    def data_of(run: Run) -> Data:
        return tuple(
            sample(plan.linearized, split, plan.size, run.subset, plan.dev_share, groups) for split in ("train", "dev")
        )

    with measured(TRAIN, [directory / run.name for run in runs]) as costs:
        prepared = prepare(config, [run.seed for run in runs], plan.linearized)
        checkpoint = CostedCheckpoint(directory / f"training-{runs[0].name}" / "checkpoint.safetensors", costs)
        trained = prepared.train([lambda run=run: data_of(run) for run in runs], checkpoint)
    for index, run in enumerate(runs):
        trained.save(directory / run.name / MODEL, config, index)
    checkpoint.remove()


@torch.no_grad()
def _decode(plan: Plan, config: RunConfig, runs: list[Run], directory: Path) -> None:
    lm, records = open_model(config), records_to_decode(plan)
    adaptations = load_runs([directory / run.name / MODEL for run in runs], lm, config)
    partial = [directory / run.name / "decoded.jsonl" for run in runs]
    for run, texts in zip(runs, predict(lm, adaptations, records, config, partial), strict=True):
        own = [[record.id, text] for record, text in zip(records, texts, strict=True)]
        write_json(directory / run.name / _TEXTS, own)
