"""`python -m bench`: all of it, into one table.

    python -m bench [--e2e DIR] [--tokenizer DIR] [--only PART ...] [--steps N] [--fresh]

What is done is kept in .bench, so that an interrupted bench goes on; other settings or other code begin anew. What was
measured is printed; docs/benchmarks.md is written when all parts are.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.fresh import fresh
from bench.parts import PARTS
from bench.report import document, results
from bench.turns import KEPT, Bench, Row
from stages.core.arguments import count
from stages.core.errors import entry_point
from stages.core.files import write_json, write_text

TOKENIZER = "data/base/mini-gpt2"
OUT = Path("docs/benchmarks.md")
PACKAGES = ("core", "decoding", "methods", "models", "scoring", "training")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--e2e", metavar="DIR", help="the files of the E2E challenge (default: generated ones)")
    parser.add_argument("--tokenizer", metavar="DIR", default=TOKENIZER, help=f"default: {TOKENIZER}")
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--steps", type=count, help="training steps (default: those of docs/benchmarks.md)")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    return parser.parse_args()


def hashed(settings: dict, files: list[Path]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def measuring() -> list[Path]:
    """The code that the numbers are of; how they are written down may change."""
    own = [file for package in PACKAGES for file in Path("stages", package).rglob("*.py")]
    written = {"report.py", "__main__.py", "gpu.py", "gpu_grid.py"}
    return sorted(own + [file for file in Path("bench").glob("*.py") if file.name not in written])


def inputs(settings: dict) -> str:
    """The directory of models and records for these settings, made if there is none."""
    home = KEPT / "inputs" / hashed(settings, [Path("bench/inputs.py")])
    if not home.exists():
        print("models and data", file=sys.stderr)
        fresh("bench.inputs.prepare", home=str(home), e2e_files=settings["e2e"], tokenizer=settings["tokenizer"])
    return str(home)


def rows_of(name: str, bench: Bench, file: Path, again: bool) -> list[Row]:
    """Measured, or as they were kept."""
    if again or not file.exists():
        print(name, file=sys.stderr)
        write_json(file, [asdict(row) for row in PARTS[name](bench)])
    return [Row(**row) for row in json.loads(file.read_text())]


@entry_point
def main() -> None:
    chosen = arguments()
    settings = {"e2e": chosen.e2e, "tokenizer": chosen.tokenizer}
    machine = fresh("bench.machine.facts")
    del machine["imports_mb"], machine["peak_mb"]  # they differ from time to time
    bench = Bench(inputs(settings), machine["gpu"] is not None, chosen.steps)
    settings |= {"steps": chosen.steps} if chosen.steps else {}
    done = KEPT / "parts" / hashed(settings | machine, measuring())
    given = " ".join(f"--{key} {value}" for key, value in settings.items() if value not in (None, TOKENIZER))
    command = f'make bench BENCH="{given}"' if given else "make bench"
    for name in chosen.only:
        rows_of(name, bench, done / f"{name}.json", chosen.fresh)
        kept = [part for part in PARTS if (done / f"{part}.json").exists()]
        rows = [row for part in kept for row in rows_of(part, bench, done / f"{part}.json", again=False)]
        write_json(KEPT / "results.json", results(machine, command, rows))
    records = "The E2E challenge's records" if chosen.e2e else "Generated records of the E2E challenge's form"
    tokenizer = f"tokenizer {Path(chosen.tokenizer).name}"
    text = document(machine, command, records, tokenizer, rows)
    if len(kept) == len(PARTS) and not chosen.steps:
        write_text(OUT, text)  # only a complete table replaces the committed one
    print(next(block for block in text.split("\n\n") if block.startswith("| |")))


if __name__ == "__main__":
    main()
