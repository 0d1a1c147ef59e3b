"""Measurements on a GPU within a time limit: bench/gpu.sh runs this.

    python -m bench.gpu [--out DIR] [--minutes 9] [--study NAME] [--data DIR] [--tiny]

Three steps, each a process of its own with a log: the GPU tests; the ratios beside PEFT; cells of a study, all runs of a
cell in one batch, as many cells as there is time for. `summary.json` says how each step ended.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from bench.fresh import fresh
from bench.turns import KEPT
from stages.core.arguments import count
from stages.core.errors import UserError, entry_point
from stages.core.files import write_json

TESTS = ["tests/models/test_gpu.py", "tests/models/test_precision.py"]
PARTS = ["train", "cell", "decode"]
RATIOS = KEPT / "results.json"  # of the bench
RESERVE = 20.0  # seconds that are left for the summary
STOPPED = "stopped: no time left"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash bench/gpu.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="results (default: .bench/gpu, with --tiny .bench/gpu-tiny)")
    parser.add_argument("--minutes", type=count, default=9, help="time limit (default: 9)")
    parser.add_argument("--study", default="smollm2", help="whose cells are run (default: smollm2)")
    parser.add_argument("--data", help="the files of the study's task, needed without a network")
    parser.add_argument("--tiny", action="store_true", help="a few steps of small models, to try the script on a CPU")
    found = parser.parse_args()
    found.out = found.out or KEPT / ("gpu-tiny" if found.tiny else "gpu")
    return found


def commands(chosen: argparse.Namespace) -> dict[str, tuple[list[str], float]]:
    """Each step's arguments of Python, and the share of the time that is left which it may take."""
    grid = ["-m", "bench.gpu_grid", "--study", chosen.study, "--out", str(chosen.out / "grid")]
    grid += ["--data", chosen.data] if chosen.data else []
    bench = ["-m", "bench", "--only", *PARTS, "--fresh"]
    if chosen.tiny:
        grid, bench = [*grid, "--tiny"], ["-m", "bench", "--only", "train", "--steps", "6", "--fresh"]
    return {
        "tests": (["-m", "pytest", "-p", "no:cacheprovider", *TESTS], 0.25),
        "bench": (bench, 0.5),
        "grid": (grid, 1.0),
    }


def step(command: list[str], seconds: float, log: Path) -> dict:
    """Run Python with these arguments for at most `seconds`; its output goes to `log`."""
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:  # with the processes that it started; what is finished is on disk
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = STOPPED
    return {"status": status, "seconds": round(time.monotonic() - began, 1), "log": log.name}


@entry_point
def main() -> None:
    chosen = arguments()
    deadline = time.monotonic() + 60 * chosen.minutes
    chosen.out.mkdir(parents=True, exist_ok=True)
    RATIOS.unlink(missing_ok=True)
    summary = {"machine": fresh("bench.machine.facts"), "steps": {}}
    for name, (command, share) in tqdm(commands(chosen).items(), unit="step", disable=None):
        left = deadline - time.monotonic() - RESERVE
        summary["steps"][name] = step(command, share * left, chosen.out / f"{name}.log")
        write_json(chosen.out / "summary.json", summary)
        print(f"{name}: {json.dumps(summary['steps'][name])}", flush=True)
    if RATIOS.exists():
        shutil.copy(RATIOS, chosen.out / "ratios.json")
    failed = [name for name, found in summary["steps"].items() if found["status"] not in (0, STOPPED)]
    if failed:
        raise UserError(f"{', '.join(failed)} failed: see {chosen.out}/{failed[0]}.log")


if __name__ == "__main__":
    main()
