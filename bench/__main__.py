"""`python -m bench`: all of it, into one table.

    python -m bench [--e2e DIR] [--tokenizer DIR] [--only PART ...] [--steps N] [--fresh]

What is done is kept in .bench, so that an interrupted bench goes on; what other code measured is measured again.
docs/benchmarks.md and docs/benchmarks.json are written when all parts are there, or when they are of the same machine and
settings. They say which parts are missing, and which ones other code measured.
"""

import argparse
import sys
from pathlib import Path

from bench.fresh import fresh
from bench.kept import COMMITTED, TOKENIZER, Kept, Part, inputs
from bench.parts import PARTS
from bench.report import document, results
from bench.turns import KEPT, Bench
from stages.core.arguments import count
from stages.core.errors import entry_point
from stages.core.files import write_json, write_text

OUT = Path("docs/benchmarks.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--e2e", metavar="DIR", help="the files of the E2E challenge (default: generated ones)")
    parser.add_argument("--tokenizer", metavar="DIR", default=TOKENIZER, help=f"default: {TOKENIZER}")
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--steps", type=count, help="training steps (default: those of docs/benchmarks.md)")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    return parser.parse_args()


@entry_point
def main() -> None:
    chosen = arguments()
    settings = {"e2e": chosen.e2e, "tokenizer": chosen.tokenizer}
    machine, limits = fresh("bench.machine.facts"), fresh("bench.limits.measured")
    for found in (machine, limits):  # they differ from time to time
        del found["imports_mb"], found["peak_mb"]
    bench = Bench(inputs(settings), machine["gpu"] is not None, limits, chosen.steps)
    settings |= {"steps": chosen.steps} if chosen.steps else {}
    kept = Kept.of(settings, machine)
    given = " ".join(f"--{key} {value}" for key, value in settings.items() if value not in (None, TOKENIZER))
    command = f'make bench BENCH="{given}"' if given else "make bench"
    for name in chosen.only:
        if chosen.fresh or name not in kept.parts or kept.parts[name].old:
            print(name, file=sys.stderr)
            kept.parts[name] = Part.now(list(PARTS[name](bench)), limits)
        kept.parts = {part: kept.parts[part] for part in PARTS if part in kept.parts}  # in the order of the table
        kept.write(kept.file)
        write_json(KEPT / "results.json", results(machine, command, kept.parts))
    records = "The E2E challenge's records" if chosen.e2e else "Generated records of the E2E challenge's form"
    missing = [part for part in PARTS if part not in kept.parts]
    text = document(machine, command, records, f"tokenizer {Path(chosen.tokenizer).name}", kept.parts, missing)
    if chosen.steps is None and (not missing or kept.is_of(COMMITTED)):
        kept.write(COMMITTED)
        write_text(OUT, text)
    print(next(block for block in text.split("\n\n") if block.startswith("| |")))


if __name__ == "__main__":
    main()
