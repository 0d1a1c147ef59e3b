"""Cells of a study on this machine, the runs of a cell in one batch, the smallest size first: `bench.gpu` calls this.

    python -m bench.gpu_grid --study NAME --out DIR [--data DIR] [--tiny]

`<out>/<variant>-<size>/` gets `hypotheses.jsonl`, as studies/data/runs has it, and `cost.json`: seconds, peak memory and
the machine. A cell that is done with the same settings is not run again. Scoring needs Java and is done elsewhere.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from bench.machine import facts
from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, replacing, write_json
from stages.methods import config_from
from stages.studies.check import settings_of
from stages.studies.data import write_data
from stages.studies.grid import cells_of, merged
from stages.studies.plan import CellSettings
from stages.studies.run import batches_of, write_hypotheses
from stages.studies.run_batch import run_batch

TINY = {
    "task": "mini_e2e",
    "model": "mini-gpt2",
    "train": {"steps": 2, "eval_every": "none"},
    "methods": {"in_context": {"examples": 1}},  # five have no room in the model's 512 positions
}
COST = "cost.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_grid", description=__doc__.splitlines()[0])
    parser.add_argument("--study", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="the task's files (default: as sources in params.yaml)")
    parser.add_argument("--tiny", action="store_true", help="two steps and four records of mini_e2e on mini-gpt2")
    return parser.parse_args()


def done(out: Path, settings: CellSettings) -> bool:
    """Whether the directory `out` has the cell with these settings."""
    return (out / COST).exists() and read_json(out / COST)["settings"] == settings.digest


def run_cell(settings: CellSettings, machine: dict[str, Any], out: Path) -> None:
    """Train and decode all runs of a cell, and write hypotheses and cost to the directory `out`."""
    plan, config, began = settings.plan, config_from(settings.candidates[0][1]), time.monotonic()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as directory, replacing(out) as made:
        for runs in batches_of(settings, config, on_gpu=True):
            run_batch(plan, config, runs, Path(directory))
        made.mkdir()
        write_hypotheses(plan, Path(directory), made / "hypotheses.jsonl")
        peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else None
        cost = {"seconds": time.monotonic() - began, "peak_mb": peak, "settings": settings.digest, "machine": machine}
        write_json(made / COST, cost)


@entry_point
def main() -> None:
    chosen, raw = arguments(), params.read()
    if chosen.study not in raw["studies"]:
        raise UserError(f"--study: params.yaml has {', '.join(raw['studies'])}, no {chosen.study}")
    if chosen.tiny:
        variants = {name: {"steps": None} for name in raw["studies"][chosen.study]["variants"]}
        raw = merged(raw, {"studies": {chosen.study: {"run": TINY, "test": 4, "variants": variants}}})
    cells = cells_of(raw, chosen.study)
    task = cells[0].plan.task
    if chosen.data:
        raw = merged(raw, {"sources": {task: {"root": chosen.data}}})
    write_data(task, params.check(raw))
    machine = facts()
    for cell in sorted(cells, key=lambda cell: (cell.size == "full", cell.size)):
        settings = settings_of(cell)
        if settings.tune is not None:
            raise UserError(f"studies.{chosen.study}: a variant has tune, which only the studies run")
        out = chosen.out / settings.plan.name
        if not done(out, settings):
            run_cell(settings, machine, out)
            print(f"{settings.plan.name}: {read_json(out / COST)['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
