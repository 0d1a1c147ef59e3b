"""What was measured, part by part: with what, when, and by which code, so that other runs of the bench go on from it.

.bench/<settings>.json holds what was measured with these settings on this machine. docs/benchmarks.json is the committed
copy of a complete one: the bench begins with it on the same machine, and `bench.check` compares with it on any.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from bench.fresh import fresh
from bench.turns import KEPT, Row
from stages.core.files import read_json, write_json

COMMITTED = Path("docs/benchmarks.json")
TOKENIZER = "data/base/mini-gpt2"
PACKAGES = ("core", "decoding", "methods", "models", "scoring", "training")
WRITING = {"report.py", "__main__.py", "check.py", "kept.py", "gpu.py", "gpu_grid.py"}  # what changes no measurement


def hashed(settings: Any, files: list[Path]) -> str:
    """A name for settings (JSON) and the content of files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def inputs(settings: dict) -> str:
    """The directory of models and records for these settings, made if there is none."""
    home = KEPT / "inputs" / hashed(settings, [Path("bench/inputs.py")])
    if not home.exists():
        print("models and data", file=sys.stderr)
        fresh("bench.inputs.prepare", home=str(home), e2e_files=settings["e2e"], tokenizer=settings["tokenizer"])
    return str(home)


def measuring() -> list[Path]:
    """The files of the code that the numbers are of; how they are written down may change."""
    own = [file for package in PACKAGES for file in Path("stages", package).rglob("*.py")]
    return sorted(own + [file for file in Path("bench").glob("*.py") if file.name not in WRITING])


def commit() -> str:
    """The commit that is checked out, with a + if files differ from it; `unknown` without git."""
    found = [
        subprocess.run(["git", *words], capture_output=True, text=True)
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "stages", "bench"])
    ]
    if any(one.returncode for one in found):
        return "unknown"
    return found[0].stdout.strip() + ("+" if found[1].stdout else "")


@dataclass(frozen=True)
class Part:
    """The rows of one part; `code` is a hash of `measuring`, `limits` are those of `bench.limits.measured`."""

    rows: list[Row]
    date: str
    commit: str
    code: str
    limits: dict[str, float]

    @classmethod
    def now(cls, rows: list[Row], limits: dict[str, float]) -> Self:
        """What was measured just now."""
        return cls(rows, str(date.today()), commit(), hashed(None, measuring()), limits)

    @property
    def old(self) -> bool:
        """Whether it was measured with other code than is checked out."""
        return self.code != hashed(None, measuring())


@dataclass
class Kept:
    """All parts by name that were measured with these settings on this machine."""

    settings: dict[str, Any]
    machine: dict[str, Any]
    parts: dict[str, Part]

    @property
    def file(self) -> Path:
        return KEPT / f"{hashed([self.settings, self.machine], [])}.json"

    @classmethod
    def of(cls, settings: dict[str, Any], machine: dict[str, Any]) -> Self:
        """What is kept of these settings and this machine, or else committed."""
        nothing = cls(settings, machine, {})
        return next((cls.read(file) for file in (nothing.file, COMMITTED) if nothing.is_of(file)), nothing)

    def is_of(self, file: Path) -> bool:
        """Whether the file is there and has these settings and this machine."""
        if not file.exists():
            return False
        found = self.read(file)
        return (found.settings, found.machine) == (self.settings, self.machine)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file that `write` wrote. Raises UserError as `read_json`."""
        value = read_json(file)
        parts = {
            name: Part(**part | {"rows": [Row(**row) for row in part["rows"]]}) for name, part in value["parts"].items()
        }
        return cls(value["settings"], value["machine"], parts)

    def write(self, file: Path) -> None:
        """Write all of it as JSON."""
        write_json(file, asdict(self))

    def ratios(self) -> dict[str, float]:
        """The ratio of each row that has one, by name."""
        return {row.name: row.ratio for part in self.parts.values() for row in part.rows if row.ratio is not None}
