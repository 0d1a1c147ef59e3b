"""`python -m bench.strength TASK`: methods on a task at several sizes, each with its own tuning, over seeds.

    python -m bench.strength mini_e2e --sizes 50 100 200 500 full --methods prefix finetune --seeds 5
    python -m bench.strength e2e --sizes 500 5000 --methods prefix adapter finetune --seeds 1 --model DIR \\
        --given sources.e2e.root=DIR

For each method and size, every setting of settings.yaml is trained with every seed (which also chooses the sample);
that of the lowest mean loss on the dev examples is decoded and scored on the test set. What is done is kept in
.bench/strength, so that an interrupted run goes on.
"""

import argparse
import itertools
import json
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev

import yaml

from bench.strength.unit import KEPT, Unit, linearized, test_unit, train_unit
from stages.errors import UserError, entry_point
from stages.files import read_text, write_json

SETTINGS = Path(__file__).with_name("settings.yaml")
SHOWN = (
    "BLEU",
    "ROUGE_L",
    "NIST",
    "METEOR",
    "CIDEr",
    "R1",
    "RL",
    "first_name",
    "second_name",
    "coverage",
    "nothing_twice",
    "added",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.strength", description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--sizes", nargs="+", default=["full"], type=lambda text: text if text == "full" else int(text))
    parser.add_argument("--methods", nargs="+", default=["prefix", "finetune"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", default="mini-gpt2", help="mini-gpt2, mini-bart or a directory")
    parser.add_argument("--given", nargs="*", default=[], metavar="KEY=VALUE", help="over params.yaml, for all")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--tune-only", action="store_true", help="losses on the dev examples alone")
    return parser.parse_args()


def settings_of(task: str, method: str, size: int | str) -> list[dict[str, object]]:
    """All combinations of the values that settings.yaml lists for the task, the method and the size's kind."""
    known = yaml.safe_load(read_text(SETTINGS))
    kind = "full" if size == "full" else "few"
    try:
        listed = known[task][kind][method]
    except (KeyError, TypeError):
        raise UserError(f"{SETTINGS}: no settings for {task}, {kind}, {method}") from None
    return [dict(zip(listed, values, strict=True)) for values in itertools.product(*listed.values())]


class Grid:
    """The units of a method and a size: settings in rows, seeds in columns."""

    def __init__(self, options: argparse.Namespace, method: str, size: int | str):
        given = tuple((key, yaml.safe_load(value)) for key, value in (pair.split("=", 1) for pair in options.given))
        self.method, self.size = method, size
        self.settings = settings_of(options.task, method, size)
        self.units = [
            [
                Unit(options.task, options.model, method, size, seed, (*given, *setting.items()))
                for seed in range(options.seeds)
            ]
            for setting in self.settings
        ]

    def train(self, pool: ProcessPoolExecutor) -> None:
        self.losses = [[pool.submit(train_unit, unit) for unit in row] for row in self.units]

    def best(self) -> int:
        """The setting of the lowest mean dev loss; waits for all."""
        self.means = [fmean(loss.result() for loss in row) for row in self.losses]
        return min(range(len(self.means)), key=self.means.__getitem__)

    def test(self, pool: ProcessPoolExecutor) -> None:
        self.tested: list[Future] = [pool.submit(test_unit, unit) for unit in self.units[self.best()]]

    def result(self, tested: bool) -> dict:
        chosen = self.best()
        found = {"method": self.method, "size": self.size, "setting": self.settings[chosen],
                 "dev_losses": [[setting, round(mean, 4)] for setting, mean in zip(self.settings, self.means, strict=True)]}  # fmt: skip
        if tested:
            scores = [future.result() for future in self.tested]
            found["scores"] = {name: spread([one[name] for one in scores]) for name in scores[0]}
        return found


def spread(values: list[float | None]) -> dict[str, object]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "deviation": None, "values": values}
    deviation = round(stdev(known), 4) if len(known) > 1 else None
    return {"mean": round(fmean(known), 4), "deviation": deviation, "values": values}


def shown(result: dict) -> str:
    numbers = [
        f"{name} {one['mean']} ± {one['deviation']}" for name, one in result.get("scores", {}).items() if name in SHOWN
    ]
    return f"{result['method']} {result['size']} {result['setting']}: {', '.join(numbers) or result['dev_losses']}"


@entry_point
def main() -> None:
    options = arguments()
    grids = [Grid(options, method, size) for size in options.sizes for method in options.methods]
    linearized(grids[0].units[0][0].chosen)  # before several processes want it
    results = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        for grid in grids:
            grid.train(pool)
        for grid in grids:
            if not options.tune_only:
                grid.test(pool)
        for grid in grids:
            results.append(grid.result(not options.tune_only))
            print(shown(results[-1]), flush=True)
    name = f"{options.task}-{Path(options.model).name}-{'-'.join(map(str, options.sizes))}"
    write_json(KEPT / f"{name}.json", {"options": vars(options), "results": json.loads(json.dumps(results))})


if __name__ == "__main__":
    main()
