"""Cells of a study on this machine, the runs of a cell in one batch, the smallest size first: `bench.gpu` calls this.

    python -m bench.gpu_grid --study NAME --out DIR [--data DIR] [--tiny]

Writes hypotheses and seconds of each cell that is done to `<out>/<variant>-<size>.json`; a cell that has its file is not
run again. Scoring needs Java and is done elsewhere: `python -m stages.scoring`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from bench.machine import facts
from stages import params
from stages.core.errors import entry_point
from stages.core.files import write_json
from stages.core.record import write_records
from stages.methods import config_from
from stages.studies.check import settings_of
from stages.studies.grid import Cell, cells_of, merged
from stages.studies.plan import linearized
from stages.studies.run import batches_of
from stages.studies.run_batch import hypotheses_of, run_batch
from stages.tasks import task_of

TINY = {"task": "mini_e2e", "model": "mini-gpt2", "train": {"steps": 2, "eval_every": None}}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_grid", description=__doc__.splitlines()[0])
    parser.add_argument("--study", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="the task's files (default: as sources in params.yaml)")
    parser.add_argument("--tiny", action="store_true", help="two steps and four records of mini_e2e on mini-gpt2")
    return parser.parse_args()


def write_data(task: str, raw_params: dict) -> None:
    """Linearize the task's data where the studies read them."""
    chosen, found = params.check(raw_params), task_of(task)
    with tempfile.TemporaryDirectory() as raw:
        found.download(chosen.source_of(task), Path(raw) / "raw")
        for split, records in found.linearize(Path(raw) / "raw", chosen.linearize).items():
            write_records(linearized(task) / f"{split}.jsonl", records)


def run_cell(cell: Cell, out: Path) -> None:
    """Train and decode all runs of a cell, and write hypotheses and seconds to the file `out`."""
    settings, began = settings_of(cell), time.monotonic()
    config, plan = config_from(settings.candidates[0][1]), cell.plan
    with tempfile.TemporaryDirectory() as directory:
        for runs in batches_of(settings, config, on_gpu=True):
            run_batch(plan, config, runs, Path(directory))
        found = {run.name: hypotheses_of(run, Path(directory)) for run in plan.runs}
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    write_json(out, {"seconds": time.monotonic() - began, "peak_mb": peak, "machine": facts(), "hypotheses": found})


@entry_point
def main() -> None:
    chosen, raw = arguments(), params.read()
    if chosen.tiny:
        variants = {name: {"steps": None} for name in raw["studies"][chosen.study]["variants"]}
        raw = merged(raw, {"studies": {chosen.study: {"run": TINY, "test": 4, "variants": variants}}})
    cells = cells_of(raw, chosen.study)
    task = cells[0].plan.task
    if chosen.data:
        raw = merged(raw, {"sources": {task: {"root": chosen.data}}})
    write_data(task, raw)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for cell in sorted(cells, key=lambda cell: (cell.size == "full", cell.size)):
        if not (out := chosen.out / f"{cell.name}.json").exists():
            run_cell(cell, out)
            print(f"{cell.name}: {out}", flush=True)


if __name__ == "__main__":
    main()
