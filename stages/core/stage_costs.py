"""The costs of a stage's last run: data/run/costs/<stage>.json.

Neither DVC nor git tracks these files, for costs differ at each run. A file says which product it belongs to: where DVC
took the product of another run from its cache, its costs are not known here.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

from stages.core.costs import Cost, cost_of_process
from stages.core.files import read_json, sha256, write_json

COSTS = Path("data/run/costs")


def write_stage_cost(stage: str, product: Path) -> None:
    """Write what the process of a stage has cost. `product` is the file or directory that it made.

    Raises UserError if that cannot be written.
    """
    write_json(COSTS / f"{stage}.json", {"product": _digest(product), "cost": asdict(cost_of_process())})


def read_stage_cost(stage: str, product: Path) -> Cost | None:
    """The cost of the process that made the product as it is; None if that is not known. Raises UserError as `read_json`."""
    file = COSTS / f"{stage}.json"
    if not file.exists() or not product.exists():
        return None
    found = read_json(file)
    try:
        return Cost(**found["cost"]) if found["product"] == _digest(product) else None
    except (KeyError, TypeError):  # written by another version of the code
        return None


def _digest(product: Path) -> str:
    """A hash of a file, or of the names and contents of all files of a directory."""
    files = sorted(file for file in product.rglob("*") if file.is_file()) if product.is_dir() else [product]
    parts = (f"{file.relative_to(product).as_posix()} {sha256(file)}\n" for file in files)
    return hashlib.sha256("".join(parts).encode()).hexdigest()
