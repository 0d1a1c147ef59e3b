"""`python -m bench.strength TASK`: methods on a task at several sizes, each with its own tuning, over seeds.

    python -m bench.strength mini_e2e --sizes 50 100 200 500 full --methods prefix finetune --seeds 5
    python -m bench.strength e2e --sizes 500 5000 --methods prefix adapter finetune --seeds 1 --model DIR \\
        --given sources.e2e.root=DIR

For each method and size, every setting of settings.yaml is trained with the first seeds (a seed also chooses the
sample); that of the lowest mean loss on the dev examples is trained with all, decoded and scored on the test set.
What is done is kept in .bench/strength, so that an interrupted run goes on.
"""

import argparse
import itertools
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev

import yaml

from bench.strength.unit import KEPT, Unit, linearized, test_unit, train_unit
from stages.core.errors import UserError, entry_point
from stages.core.files import read_text, write_json

SETTINGS = Path(__file__).with_name("settings.yaml")
SHOWN = (
    "BLEU",
    "ROUGE_L",
    "NIST",
    "METEOR",
    "CIDEr",
    "rouge1",
    "rougeL",
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
    parser.add_argument("--tuning-seeds", type=int, default=2, help="of them, for the choice of the setting")
    parser.add_argument("--model", default="mini-gpt2", help="mini-gpt2, mini-bart or a directory")
    parser.add_argument("--given", nargs="*", default=[], metavar="KEY=VALUE", help="over params.yaml, for all")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--tune-only", action="store_true", help="losses on the dev examples alone")
    return parser.parse_args()


def settings_of(task: str, method: str, size: int | str) -> list[dict[str, object]]:
    """All combinations of the values that settings.yaml lists for the task, the size and the method."""
    known = yaml.safe_load(read_text(SETTINGS))
    try:
        listed = known[task][size][method]
    except (KeyError, TypeError):
        raise UserError(f"{SETTINGS}: no settings for {task}, {size}, {method}") from None
    return [dict(zip(listed, values, strict=True)) for values in itertools.product(*listed.values())]


class Grid:
    """The units of a method and a size: settings in rows, seeds in columns."""

    def __init__(self, options: argparse.Namespace, method: str, size: int | str):
        given = tuple((key, yaml.safe_load(value)) for key, value in (pair.split("=", 1) for pair in options.given))
        self.method, self.size, self.tuning = method, size, min(options.tuning_seeds, options.seeds)
        self.settings = settings_of(options.task, method, size)
        self.units = [
            [Unit(options.task, options.model, method, size, seed, (*given, *setting.items()))
             for seed in range(options.seeds)]
            for setting in self.settings
        ]  # fmt: skip
        self.means: list[float] = []
        self.tested: list[Future] = []

    def tune(self, pool: ProcessPoolExecutor) -> None:
        self.losses = [[pool.submit(train_unit, unit) for unit in row[: self.tuning]] for row in self.units]

    def choose(self) -> int:
        """The setting of the lowest mean dev loss; waits for all."""
        self.means = self.means or [fmean(loss.result() for loss in row) for row in self.losses]
        return min(range(len(self.means)), key=self.means.__getitem__)

    def test(self, pool: ProcessPoolExecutor) -> None:
        self.tested = [pool.submit(test_unit, unit) for unit in self.units[self.choose()]]

    def result(self) -> dict:
        chosen = self.choose()
        scores = [future.result() for future in self.tested]
        losses = [[setting, round(mean, 4)] for setting, mean in zip(self.settings, self.means, strict=True)]
        return {
            "method": self.method, "size": self.size, "setting": self.settings[chosen], "dev_losses": losses,
            "scores": {name: spread([one[name] for one in scores]) for name in (scores[0] if scores else ())},
        }  # fmt: skip


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
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        for grid in grids:
            grid.tune(pool)
        for grid in grids:
            if not options.tune_only:
                grid.test(pool)
        results = [grid.result() for grid in grids]
    for result in results:
        print(shown(result))
    name = "-".join([options.task, Path(options.model).name, *options.methods, *map(str, options.sizes)])
    write_json(KEPT / f"{name}.json", {"options": vars(options), "results": results})


if __name__ == "__main__":
    main()
