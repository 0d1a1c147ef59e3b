"""Stage: all runs of one cell of a study, into data/studies/<study>/<variant>-<size>.

`runs.jsonl` has the scores of each run, `hypotheses.jsonl` what each run makes of each test record, `votes.json` the scores
of their votes, where they can vote.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch
from tqdm import tqdm

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import replacing, sha256, write_json, write_jsonl
from stages.core.record import read_records
from stages.core.scratch import code, scratch
from stages.methods import METHODS
from stages.models.precision import has_bf16
from stages.studies import gang
from stages.studies.data import directory_of
from stages.studies.ensemble import voted
from stages.studies.grid import VOTES, Cell, Run, cell_of
from stages.studies.settings import settings_of
from stages.tasks import task_of

_STAGES = Path(__file__).parents[1]
_CODE = [  # with the engine, the methods, scoring and tasks
    *(f"{name}.py" for name in ("decode", "params", "score", "subsample")),
    *(f"studies/{name}.py" for name in ("cell", "ensemble", "gang", "grid", "settings")),
]


def gangs(cell: Cell, on_gpu: bool) -> list[list[Run]]:
    """The runs that are trained in one batch; by `auto` on a CPU each alone, in a process of its own.

    The model's own dropout is drawn for a whole batch: where it is at work, a run trains alone, lest it depend on others.
    """
    together, training = cell.first.cells.together, cell.first.training
    size = together if together != "auto" else len(cell.runs) if on_gpu else 1
    if not METHODS[cell.first.method].TOGETHER or (training is not None and training.lm_dropout):
        size = 1
    return [cell.runs[start : start + size] for start in range(0, len(cell.runs), size)]


def work_off(cell: Cell, directory: Path) -> None:
    """All runs of the cell, of which some may be done. They are scored here, by programs that serve them all."""
    on_gpu = torch.cuda.is_available()
    left = [runs for runs in gangs(cell, on_gpu) if not all(gang.done(run, directory) for run in runs)]
    if not left:
        return
    processes = 1 if on_gpu else min(cell.first.cells.processes, len(left))
    worked_off = (_in_turn if processes < 2 else _at_once)(cell, left, directory, processes)
    bar = tqdm(
        total=len(cell.runs), initial=len(cell.runs) - sum(map(len, left)), desc=f"{cell.study} {cell.name}",
        unit="run", disable=None,
    )  # fmt: skip
    with bar, task_of(cell.first.task).metrics.scorer() as measure:
        for runs in worked_off:
            for run in runs:
                gang.score(cell, run, directory, measure)
                bar.update()


def _in_turn(cell: Cell, left: list[list[Run]], directory: Path, _processes: int) -> Iterator[list[Run]]:
    for runs in left:
        gang.work(cell, runs, directory)
        yield runs


def _at_once(cell: Cell, left: list[list[Run]], directory: Path, processes: int) -> Iterator[list[Run]]:
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin) as pool:
        under_way = {pool.submit(gang.work, cell, runs, directory): runs for runs in left}
        try:
            for future in as_completed(under_way):
                future.result()
                yield under_way[future]
        except BrokenProcessPool as error:
            raise UserError(
                f"study {cell.study}, cell {cell.name}: a process was killed, for want of memory perhaps: lower "
                f"cells.processes ({processes}); the same command goes on from the last checkpoint"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Of a process: no bars of its own beside the one of all runs, and no going on without who began it."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # else an interrupted one would take up the next runs
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check_data(cell: Cell) -> None:
    """Raises UserError, before any training, if the data has fewer examples than a size of the study, or lacks a group."""
    groups, task, where = cell.grid.groups, cell.first.task, f"{params.FILE}: studies.{cell.study}"
    learnt = gang.groups_to_train(cell)
    if groups is not None:
        for split, wanted in (("train", learnt), ("dev", learnt), ("test", groups.test)):
            found = {record.group for record in read_records(directory_of(task) / f"{split}.jsonl")}
            if split == "dev" and groups.train is None and found & learnt:
                continue  # of those that training happens to have, a rare one need not be in the smaller split
            for group in sorted(wanted):
                if group not in found:
                    raise UserError(f"{where}.groups: {task} has no {split} record of {group}: it has {_listed(found)}")
    records = read_records(directory_of(task) / "train.jsonl")
    total = sum(len(record.targets) for record in records if learnt is None or record.group in learnt)
    if not total:
        raise UserError(f"{where}.groups: no training example of {task} is left beside those of {groups.test}")
    described, most = len(gang.test_records(cell)), cell.grid.test
    if most != "full" and most > described:
        raise UserError(f"{where}.test: {most:,} is more than the {described:,} test records of {task}")
    for size in cell.grid.sizes:
        if size != "full" and size > total:
            raise UserError(f"{where}.sizes: {size:,} is more than the {total:,} training examples of {task}")


def _listed(groups: set[str | None]) -> str:
    return ", ".join(sorted(filter(None, groups))) or "no groups"


def what_decides(cell: Cell) -> list:
    """Everything but files that the runs depend on; and where they are: work that began on a GPU is not gone on with on a CPU."""
    weights = Path(cell.first.model_directory) / "model.safetensors"
    where = sha256(weights) if weights.is_file() else cell.first.model_directory
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [cell.study, cell.first.cells.together, settings_of(cell), where, device.type, has_bf16(device)]


def files_of(cell: Cell) -> list[Path]:
    """The files that decide what the runs become: data, trained runs that they start from, and code, as the deps of dvc.yaml."""
    data = directory_of(cell.first.task)
    files = [*(data / f"{split}.jsonl" for split in ("train", "dev", "test")), *cell.first.given, *code()]
    files += [_STAGES / name for name in _CODE]
    return files + sorted(file for part in ("scoring", "tasks") for file in (_STAGES / part).rglob("*.py"))


@entry_point
def main() -> None:
    study, variant, size = sys.argv[1:]
    cell = cell_of(params.read(), study, variant, size)
    check_data(cell)
    with scratch(what_decides(cell), *files_of(cell)) as directory:
        work_off(cell, directory)
        results = [(run, gang.result_of(run, directory)) for run in cell.runs]
        for run, result in results:
            for metric, reason in result["reasons"].items():
                print(f"subset {run.subset} seed {run.seed}: {metric} is null: {reason}", file=sys.stderr)
        with replacing(cell.out) as out:
            out.mkdir()
            write_jsonl(out / "runs.jsonl", (
                {"subset": run.subset, "seed": run.seed, **result["scores"], "reasons": result["reasons"]}
                for run, result in results
            ))  # fmt: skip
            answers = [[text for _, text in result["hypotheses"]] for _, result in results]
            if votes := voted(cell, answers):
                write_json(out / VOTES, votes)
            write_jsonl(out / "hypotheses.jsonl", (
                {"subset": run.subset, "seed": run.seed, "id": name, "hypothesis": text}
                for run, result in results for name, text in result["hypotheses"]
            ))  # fmt: skip


if __name__ == "__main__":
    main()
