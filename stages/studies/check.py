"""Stage: check all studies of params.yaml before any work begins, and write the settings of each later stage."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages import params
from stages.core.closure import closure, code_hash
from stages.core.errors import UserError, entry_point
from stages.core.files import replacing, write_json
from stages.methods import files_of, module_of
from stages.params import Params
from stages.resolve import resolve
from stages.studies.grid import Cell, cells_of, merged
from stages.studies.plan import SETTINGS, CellSettings
from stages.tasks import module_of as module_of_task
from stages.tasks import task_of

SCORING = Path("stages/scoring")


def settings_of(cell: Cell) -> CellSettings:
    """What the runs of a cell depend on. Raises UserError that names study, variant and key."""
    candidates = []
    for changes, chosen in cell.candidates:
        with cell.named():
            config = resolve(chosen)
            candidates.append((changes, config.as_json()))
            files = files_of(config)
    first = cell.params
    return CellSettings(
        plan=cell.plan,
        candidates=candidates,
        tune=None if cell.tune is None else cell.tune.model_dump(),
        runs_per_batch=first.cells.runs_per_batch,
        files=tuple(map(str, files)),
        code=code_hash(closure(*_modules_of(cell))),
    )


def _modules_of(cell: Cell) -> list[str]:
    """The modules whose code, with their imports, the runs of a cell use."""
    found = ["stages.studies.run", module_of(cell.params.method).__name__]
    if cell.tune is not None and cell.tune.by != "loss":
        found += ["stages.studies.dev_metric", module_of_task(cell.params.task)]
    return found


def check_method(cell: Cell) -> None:
    """Raises UserError if the method does not fit the model, or if a file that it starts from is missing."""
    with cell.named():
        for file in files_of(resolve(cell.params)):
            if not file.is_file():
                raise UserError(f"{file}, which method {cell.params.method} is to start from, does not exist")


def data_settings(chosen: Params, task: str) -> dict[str, Any]:
    """What the data of a task depend on, as JSON: source, linearization and code."""
    source = chosen.source_of(task).model_dump()
    files = closure("stages.studies.data", module_of_task(task))
    code = code_hash(file for file in files if not file.is_relative_to(SCORING))  # no reader calls scoring
    return {"source": source, "linearize": chosen.linearize.model_dump(), "code": code}


def score_settings(cells: list[Cell]) -> dict[str, Any]:
    """What the scores of a study depend on besides its runs, as JSON."""
    module = module_of_task(cells[0].params.task)
    return {"cells": [asdict(cell.plan) for cell in cells], "code": code_hash(closure("stages.studies.score", module))}


def summary_settings(cells: list[Cell], settings: list[CellSettings]) -> dict[str, Any]:
    """What the tables and the picture of a study depend on besides its scores, as JSON. `settings` are the cells'."""
    return {
        "cells": [asdict(one.plan) for one in settings],
        "digests": {one.plan.name: one.digest for one in settings},
        "figure": cells[0].grid.figure.model_dump(),
        "metrics": task_of(cells[0].params.task).shown.figures,
        "code": code_hash(closure("stages.studies.summary")),
    }


def personal_settings(raw: dict[str, Any]) -> dict[str, Any]:
    """What the stage `personal` depends on besides data, as JSON. `raw` is the content of params.yaml.

    Raises UserError that names a wrong key.
    """
    chosen = params.check(raw)
    run = params.check(merged(raw, {**chosen.personal.run, "train_size": "full", "threads": 1}))
    config = resolve(run)
    code = code_hash(closure("stages.studies.personal", f"stages.methods.{config.method}"))
    return {
        "run": config.as_json(), "seed": run.seed, "known": chosen.personal.known, "rows": chosen.serve.rows,
        "memory_mb": chosen.serve.memory_mb, "code": code,
    }  # fmt: skip


@entry_point
def main() -> None:
    raw = params.read()
    chosen = params.check(raw)
    studies = {study: cells_of(raw, study) for study in chosen.studies}
    for cells in studies.values():
        for cell in cells:
            check_method(cell)
    with replacing(SETTINGS) as out:
        for task in chosen.cells.tasks:
            write_json(out / "data" / f"{task}.json", data_settings(chosen, task))
        for study, cells in studies.items():
            settings = [settings_of(cell) for cell in cells]
            for one in settings:
                write_json(out / one.plan.settings.relative_to(SETTINGS), one.as_json())
            write_json(out / "scores" / f"{study}.json", score_settings(cells))
            write_json(out / "summary" / f"{study}.json", summary_settings(cells, settings))
        write_json(out / "personal.json", personal_settings(raw))


if __name__ == "__main__":
    main()
