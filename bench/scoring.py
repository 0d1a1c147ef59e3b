"""Seconds to score one system's outputs, by this project and by the official programs, in turns.

    python bench/scoring.py --task e2e --hyp HYPOTHESES --refs REFERENCES [--official e2e-metrics]
    python bench/scoring.py --task webnlg --cores 1 --hyp HYPOTHESES --refs REFERENCES ... [--subsets FILE]

Without the official script's directory, e2e is compared with the part of it that PyPI has: the COCO evaluation
(METEOR, ROUGE-L, CIDEr), without mteval in Perl. The organisers' scripts of WebNLG are in no package; their
tercom may not be passed on.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
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


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - begin


def main() -> None:
    chosen = arguments()
    if chosen.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    commands = programs(chosen)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(chosen.times):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    print(f"{'seconds on ' + str(len(os.sched_getaffinity(0))) + ' cores':<28}  median    best   worst")
    for name, runs in taken.items():
        print(f"{name:<28}{median(runs):8.1f}{min(runs):8.1f}{max(runs):8.1f}")


if __name__ == "__main__":
    main()
