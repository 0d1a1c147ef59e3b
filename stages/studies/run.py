"""Stage: all runs of one cell of a study, into studies/data/runs/<study>/<variant>-<size>.

`hypotheses.jsonl` has the hypothesis of each run for each test record, `costs.json` what each run has cost.
`tuned.json`, if the variant has `tune`, has the choice.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch
import yaml
from tqdm import tqdm

from stages.core.errors import UserError, entry_point
from stages.core.files import read_text, replacing, sha256, write_json, write_jsonl
from stages.core.run_config import RunConfig
from stages.core.scratch import scratch
from stages.methods import config_from, module_of
from stages.models.named import path_of
from stages.models.precision import has_bf16
from stages.studies.costs import rows_of
from stages.studies.plan import COSTS, SETTINGS, CellSettings, Plan, Run
from stages.studies.run_batch import done, hypotheses_of, run_batch
from stages.studies.selection import check_data
from stages.studies.tune import choose
from stages.studies.worker import begin

# Each run in a batch takes memory: ten of gpt2's shape 2 GB more than one (`cell` of the bench).
CPU_BATCH = 5


def batches_of(settings: CellSettings, config: RunConfig, on_gpu: bool) -> list[list[Run]]:
    """Split the runs of a cell into batches that are trained together.

    With `auto` a batch has all runs on a GPU. On a CPU it has half of them, so that two processes have work, and at
    most `CPU_BATCH`. A run also trains alone if the method allows no batches, or if the model's own dropout is on: it
    is drawn for the whole batch and would mix the runs. The runs of `tune` are trained already, each alone.
    """
    tuned = 0 if settings.tune is None else settings.tune["runs"]
    alone, runs, size = settings.plan.runs[:tuned], settings.plan.runs[tuned:], settings.runs_per_batch
    if size == "auto":
        size = len(runs) if on_gpu else min(-(-len(runs) // 2), CPU_BATCH)
    if not module_of(config.method).BATCHED_RUNS or (config.training is not None and config.training.lm_dropout):
        size = 1
    together = [runs[start : start + size] for start in range(0, len(runs), max(1, size))]
    return [[run] for run in alone] + together


def run_all(settings: CellSettings, config: RunConfig, directory: Path, processes: int) -> None:
    """Train and decode all runs of the cell that are not done yet, on a CPU in up to `processes` processes.

    `directory` is the cell's scratch directory. Raises UserError that names study, cell and run.
    """
    plan, on_gpu = settings.plan, torch.cuda.is_available()
    left = [runs for runs in batches_of(settings, config, on_gpu) if not all(done(run, directory) for run in runs)]
    processes = 1 if on_gpu else min(processes, len(left))
    bar = tqdm(
        total=len(plan.runs), initial=len(plan.runs) - sum(map(len, left)), desc=f"{plan.study} {plan.name}",
        unit="run", disable=None,
    )  # fmt: skip
    with bar:
        for runs in (_in_turn if processes < 2 else _in_parallel)(plan, config, left, directory, processes):
            bar.update(len(runs))


def _in_turn(
    plan: Plan, config: RunConfig, left: list[list[Run]], directory: Path, _processes: int
) -> Iterator[list[Run]]:
    for runs in left:
        run_batch(plan, config, runs, directory)
        yield runs


def _in_parallel(
    plan: Plan, config: RunConfig, left: list[list[Run]], directory: Path, processes: int
) -> Iterator[list[Run]]:
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=begin) as pool:
        running = {pool.submit(run_batch, plan, config, runs, directory): runs for runs in left}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BrokenProcessPool as error:
            raise UserError(
                f"study {plan.study}, cell {plan.name}: a process was killed, for want of memory perhaps: lower "
                f"cells.processes ({processes}); the same command goes on from the last checkpoint"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def write_hypotheses(plan: Plan, directory: Path, out: Path) -> None:
    """Write the hypotheses of all runs of a cell, from its scratch directory, to the file `out`."""
    write_jsonl(out, (
        {"subset": run.subset, "seed": run.seed, "id": name, "hypothesis": text}
        for run in plan.runs for name, text in hypotheses_of(run, directory)
    ))  # fmt: skip


def cache_key(settings: CellSettings) -> list:
    """What the runs depend on besides the files of `files_of`, as JSON, for `scratch`.

    The device is part of it: work that was begun on a GPU is not resumed on a CPU.
    """
    path = Path(path_of(settings.plan.model))
    weights = path / "model.safetensors"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [settings.as_json(), sha256(weights) if weights.is_file() else str(path), device.type, has_bf16(device)]


def files_of(settings: CellSettings) -> list[Path]:
    """The files that the runs depend on: data, and trained runs that the method starts from."""
    data = [settings.plan.linearized / f"{split}.jsonl" for split in ("train", "dev", "test")]
    return [*data, *map(Path, settings.files)]


def processes_of(path: Path = Path("params.yaml")) -> int:
    """The number of processes, `cells.processes`. It is read here, not in the settings, as it changes no result."""
    return yaml.safe_load(read_text(path))["cells"]["processes"]


@entry_point
def main() -> None:
    study, variant, size = sys.argv[1:]
    settings = CellSettings.read(SETTINGS / "runs" / study / f"{variant}-{size}.json")
    plan = settings.plan
    check_data(plan)
    with scratch(cache_key(settings), *files_of(settings)) as directory:
        tuned = choose(settings, directory) if settings.tune is not None else None
        chosen = 0 if tuned is None else tuned["chosen"]
        config = config_from(settings.candidates[chosen][1])
        run_all(settings, config, directory / str(chosen), processes_of())
        with replacing(plan.out) as out:
            out.mkdir()
            if tuned is not None:
                write_json(out / "tuned.json", tuned)
            write_hypotheses(plan, directory / str(chosen), out / "hypotheses.jsonl")
            write_json(out / COSTS, rows_of(plan, directory / str(chosen)))


if __name__ == "__main__":
    main()
