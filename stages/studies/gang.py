"""What becomes of some runs of a cell in one process: trained together, then each decoded; and how a run is scored.

Everything that is done stays in the cell's scratch directory, `<run>/` for each, so that a process that is killed
goes on where it was: training from its last checkpoint, decoding behind its last batches.
"""

import contextlib
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from stages import subsample
from stages.core.errors import UserError
from stages.core.files import read_json, write_json
from stages.core.record import Record, read_records, with_source_prefix
from stages.decode import decode, hypotheses_of
from stages.methods import build, learn, saved
from stages.models.encode import Examples, check_length, encode
from stages.models.linear import pack
from stages.models.model import LM
from stages.models.precision import dtype_of
from stages.models.steering import Steering
from stages.open_model import open_model
from stages.params import Params
from stages.score import scores_of
from stages.scoring.metric_set import Scorer
from stages.studies.data import directory_of
from stages.studies.grid import Cell, Run
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train
from stages.training.recompute import recompute

_MODEL = "model"
_TEXTS = "hypotheses.json"
_RESULT = "result.json"


def work(cell: Cell, runs: list[Run], directory: Path) -> None:
    """Leave what each run makes of the test records. Raises UserError that names study, cell and run."""
    if all((directory / run.name / _TEXTS).exists() for run in runs):
        return
    with _named(cell, runs):
        if not all((directory / run.name / _MODEL).exists() for run in runs):
            _train(cell, runs, directory)
        # All of them, whatever is written already: who stands in a batch rounds its neighbours.
        _describe(cell, runs, directory)
    for run in runs:
        shutil.rmtree(directory / run.name / _MODEL)


def score(cell: Cell, run: Run, directory: Path, measure: Scorer) -> None:
    """Leave the result of a run that was worked off."""
    with _named(cell, [run]):
        texts = read_json(directory / run.name / _TEXTS)
        scores = scores_of(cell.first.task, measure, [text for _, text in texts], test_records(cell))
    result = {"scores": scores.metrics, "reasons": scores.reasons, "hypotheses": texts}
    write_json(directory / run.name / _RESULT, result)


def done(run: Run, directory: Path) -> bool:
    return (directory / run.name / _RESULT).exists()


@contextlib.contextmanager
def _named(cell: Cell, runs: list[Run]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        which = ", ".join(f"subset {run.subset} seed {run.seed}" for run in runs)
        raise UserError(f"study {cell.study}, cell {cell.name}, {which}: {error}") from error


def result_of(run: Run, directory: Path) -> dict:
    return read_json(directory / run.name / _RESULT)


def test_records(cell: Cell) -> list[Record]:
    """Those that are described: of the groups, the first so many."""
    groups, most = cell.grid.groups, cell.grid.test
    records = read_records(directory_of(cell.first.task) / "test.jsonl")
    records = [record for record in records if groups is None or record.group in groups.test]
    return records if most == "full" else records[:most]


def groups_to_train(cell: Cell) -> set[str] | None:
    """Of the training and dev records; None: all."""
    groups = cell.grid.groups
    if groups is None or groups.train is not None:
        return None if groups is None else set(groups.train)
    found = {record.group for record in read_records(directory_of(cell.first.task) / "train.jsonl")}
    return found - {None, *groups.test}


def _opened(chosen: Params) -> tuple[LM, dict]:
    lm = open_model(chosen)
    return lm, saved.belonging(lm)


def _train(cell: Cell, runs: list[Run], directory: Path) -> None:
    """Leave `<run>/model` of each, whole or not at all."""
    lm, belongs = _opened(cell.first)
    training = cell.first.training
    learn(lm, cell.first, directory_of(cell.first.task))
    method = build(lm, cell.chosen(runs[0]), [run.seed for run in runs])
    lm.compute_in(dtype_of(cell.first.precision, lm.device, lm.width))
    if cell.first.train.activation_checkpointing:
        recompute(lm.blocks())
    stored, checkpoint = method.stored(), Checkpoint(directory / f"training-{runs[0].name}" / "checkpoint.safetensors")
    if training is not None:
        with torch.no_grad():
            taken = lm.taken(method())
        groups = groups_to_train(cell)
        examples, dev = ([_examples(lm, cell, run, split, groups, taken) for run in runs] for split in ("train", "dev"))
        stored, _ = train(lm, method, examples, dev, training, checkpoint)
    for index, run in enumerate(runs):
        own = {name: tensor[index : index + 1] for name, tensor in stored.items()}
        options = asdict(training) if training else {}
        saved.save(directory / run.name / _MODEL, cell.first.method, own, belongs, options, lm.labels)
    checkpoint.remove()


def _examples(lm: LM, cell: Cell, run: Run, split: str, groups: Collection[str] | None, taken: int) -> Examples:
    decoding, linearized = cell.first.decoding, directory_of(cell.first.task)
    records = subsample.sample(linearized, split, cell.size, run.subset, groups)
    examples = encode(
        lm, with_source_prefix(records, cell.first.source_words), decoding.source_tokens, decoding.target_tokens
    )
    check_length(lm, examples, taken)
    return examples


def _describe(cell: Cell, runs: list[Run], directory: Path) -> None:
    """What they make of the test records: prefixes and prompts that trained together in one pass, others in turn."""
    chosen, records = cell.first, test_records(cell)
    lm, _ = _opened(chosen)
    steerings = [saved.load(directory / run.name / _MODEL, lm) for run in runs]
    lm.compute_in(dtype_of(chosen.precision, lm.device, lm.width))
    pack(lm.model)
    if len(runs) > 1 and all(steering.joinable for steering in steerings):
        sources = [record.source for record in with_source_prefix(records, chosen.source_words)]
        partial = directory / f"decoded-{runs[0].name}.jsonl"
        joined = Steering.joined(steerings)
        found = decode(lm, joined, sources, chosen.decoding, chosen.decode, partial, len(runs))
        texts = [[of_run[source] for source in sources] for of_run in found]
    else:
        texts = [
            hypotheses_of(lm, steering, records, chosen, directory / run.name / "decoded.jsonl")
            for run, steering in zip(runs, steerings, strict=True)
        ]
    for run, own in zip(runs, texts, strict=True):
        write_json(
            directory / run.name / _TEXTS, [[record.id, text] for record, text in zip(records, own, strict=True)]
        )
