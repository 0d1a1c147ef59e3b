"""Seconds to score one system's outputs, by this project and by the official programs, in turns.

    python bench/scoring.py --task e2e --hyp HYPOTHESES --refs REFERENCES [--official e2e-metrics]
    python bench/scoring.py --task webnlg --cores 1 --hyp HYPOTHESES --refs REFERENCES ... [--subsets FILE]

Without the official script's directory, e2e is compared with the part of it that PyPI has: the COCO evaluation
(METEOR, ROUGE-L, CIDEr), without mteval in Perl. For webnlg there is nothing to compare with, only our own time: the
organisers' scripts are in no package, and their tercom may not be passed on.

The first run ever on a machine also prepares METEOR's paraphrases: seconds, which count in `worst`.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, choices=["e2e", "webnlg"])
    parser.add_argument("--hyp", required=True)
    parser.add_argument("--refs", required=True, nargs="+")
    parser.add_argument("--subsets")
    parser.add_argument("--official", type=Path, help="a checkout of tuetschek/e2e-metrics that runs here")
    parser.add_argument("--cores", type=int, help="run on so many cores")
    parser.add_argument("--times", type=int, default=3)
    return parser.parse_args()


def programs(chosen: argparse.Namespace) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "stages.scoring", "--task", chosen.task, "--hyp", chosen.hyp, "--refs", *chosen.refs]
    ours += ["--subsets", chosen.subsets] if chosen.subsets else []
    found = {"python -m stages.scoring": ours}
    if chosen.task == "e2e" and chosen.official:
        script = str(chosen.official / "measure_scores.py")
        found["measure_scores.py"] = [sys.executable, script, *chosen.refs, chosen.hyp]
    elif chosen.task == "e2e":
        script = str(HERE / "coco_evaluation.py")
        found["its COCO evaluation alone"] = [sys.executable, script, chosen.hyp, *chosen.refs]
    return found


@dataclass(frozen=True)
class Seconds:
    """Of one run of a program: on the clock, and of all cores together."""

    wall: float
    cores: float


def seconds(command: list[str]) -> Seconds:
    """Run a program of this project or a peer. Ends the bench if it fails, or if it cannot compute a metric."""
    begin, before = time.perf_counter(), _cores()
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    if '"reasons"' in done.stdout:
        sys.exit(f"error: {' '.join(command)} lacks a metric: {done.stdout.strip()}")
    return Seconds(time.perf_counter() - begin, _cores() - before)


def _cores() -> float:
    """Seconds of all programs that ended so far, with those that they started."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    chosen = arguments()
    if chosen.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    commands = programs(chosen)
    taken: dict[str, list[Seconds]] = {name: [] for name in commands}
    for _ in range(chosen.times):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    print(f"{'seconds on ' + str(len(os.sched_getaffinity(0))) + ' cores':<28}  median    best   worst   of all cores")
    for name, runs in taken.items():
        wall = [run.wall for run in runs]
        cores = median(run.cores for run in runs)
        print(f"{name:<28}{median(wall):8.1f}{min(wall):8.1f}{max(wall):8.1f}{cores:15.1f}")


if __name__ == "__main__":
    main()
