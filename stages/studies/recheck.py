"""`python -m stages.studies.recheck STUDY`, after code changed that should change no result.

The first runs of the smallest cell of each variant are computed again. If all their hypotheses equal the stored ones,
byte for byte, the cells of the study are committed to studies/dvc.lock. Then `dvc --cd studies repro` runs no cell.
"""

import argparse
import json
import subprocess

import torch

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, read_jsonl
from stages.core.scratch import scratch
from stages.methods import config_from
from stages.studies import check
from stages.studies.grid import cells_of
from stages.studies.plan import PROJECT, CellSettings, Plan, Run
from stages.studies.run import batches_of, cache_key, files_of
from stages.studies.run_batch import hypotheses_of, run_batch

Rows = list[dict[str, object]]


def smallest(plans: list[Plan]) -> list[Plan]:
    """The cell of each variant with the fewest training examples."""
    found: dict[str, Plan] = {}
    for plan in plans:
        before = found.get(plan.variant)
        if before is None or (plan.size != "full" and (before.size == "full" or plan.size < before.size)):
            found[plan.variant] = plan
    return list(found.values())


def stored(plan: Plan, runs: list[Run]) -> Rows:
    """The stored hypotheses of these runs. Raises UserError if the cell was not run on this machine."""
    file = plan.out / "hypotheses.jsonl"
    if not file.is_file():
        raise UserError(f"{file} is not on this machine: nothing to compare with; dvc --cd studies repro {plan.study}")
    names = {(run.subset, run.seed) for run in runs}
    return [row for row in read_jsonl(file) if (row["subset"], row["seed"]) in names]


def again(plan: Plan) -> tuple[list[Run], Rows]:
    """The runs in the cell's first training batch, and their hypotheses, computed again."""
    settings = CellSettings.read(plan.settings)
    tuned = plan.out / "tuned.json"
    chosen = read_json(tuned)["chosen"] if tuned.is_file() else 0
    config = config_from(settings.candidates[chosen][1])
    runs = batches_of(settings, config, torch.cuda.is_available())[0]
    rows: Rows = []
    with scratch([*cache_key(settings), "recheck"], *files_of(settings)) as directory:
        run_batch(plan, config, runs, directory)
        for run in runs:
            found = hypotheses_of(run, directory)
            rows += [{"subset": run.subset, "seed": run.seed, "id": name, "hypothesis": text} for name, text in found]
    return runs, rows


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.studies.recheck", description=__doc__.splitlines()[0])
    parser.add_argument("study", help="a name of `studies` in params.yaml")
    study = parser.parse_args().study
    check.main()
    plans = [cell.plan for cell in cells_of(params.read(), study)]
    for plan in smallest(plans):
        runs, rows = again(plan)
        if json.dumps(rows) != json.dumps(stored(plan, runs)):
            raise UserError(f"study {study}, cell {plan.name}: other hypotheses than stored: run the study again")
        print(f"{plan.name}: {len(runs)} runs, {len(rows)} hypotheses, equal", flush=True)
    cells = [f"{study}@{plan.name}" for plan in plans if (plan.out / "hypotheses.jsonl").is_file()]
    subprocess.run(["dvc", "--cd", str(PROJECT), "commit", "--force", "--quiet", *cells], check=True)
    print(f"{len(cells)} cells of {len(plans)} committed to {PROJECT}/dvc.lock")


if __name__ == "__main__":
    main()
