"""`make bench-check`: the fast parts of the bench beside the committed ratios (bench/check.json), in five minutes.

    python -m bench.check [--record]

Fails if a ratio of times is below 85% of the committed one. Both sides of a ratio run in turns on the same machine, so
ratios move less than times do; still, another processor may have others. `--record` writes the file anew.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.fresh import fresh
from bench.kept import TOKENIZER, Part, inputs
from bench.parts import PARTS
from bench.turns import Bench
from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, write_json

FILE = Path("bench/check.json")
FAST = {"train": 8, "train_bart-base": 8, "decode_b1": None}  # parts, and how many steps they train
LEAST = 0.85
NOT_TIMES = ("memory",)


def slower(committed: Mapping[str, float], found: Mapping[str, float]) -> list[str]:
    """What is wrong, a line each: ratios below `LEAST` of the committed ones, and ratios that were not measured."""
    wrong = [f"{name} was not measured" for name in committed if name not in found]
    return wrong + [
        f"{name} is {found[name]:.2f}, less than {LEAST:.0%} of {ratio:.2f}"
        for name, ratio in committed.items()
        if name in found and found[name] < LEAST * ratio
    ]


def measured() -> tuple[dict[str, float], dict]:
    """The ratios of times by name, and when and by which code and machine they were measured."""
    machine, limits = fresh("bench.machine.facts"), fresh("bench.limits.measured")
    home = inputs({"e2e": None, "tokenizer": TOKENIZER})
    rows = []
    for name, steps in FAST.items():
        print(name, file=sys.stderr)
        rows += PARTS[name](Bench(home, machine["gpu"] is not None, limits, steps))
    now = Part.now(rows, limits)
    ratios = {row.name: round(row.ratio, 2) for row in rows if row.ratio and not row.name.startswith(NOT_TIMES)}
    return ratios, {"date": now.date, "commit": now.commit, "processor": machine["processor"]}


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help=f"write {FILE} anew")
    record = parser.parse_args().record
    found, of = measured()
    if record:
        write_json(FILE, {"ratios": found, "of": of})
    committed = read_json(FILE)["ratios"]
    for name, ratio in found.items():
        print(f"{name:<32}{ratio:6.2f}   committed {committed.get(name, float('nan')):6.2f}")
    if wrong := slower(committed, found):
        raise UserError("; ".join(wrong))


if __name__ == "__main__":
    main()
