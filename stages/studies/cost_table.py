"""What the runs of a study have cost, beside their quality: studies/metrics/<study>.costs.csv, and a table from it.

The costs are no DVC metrics, since they differ each time: they would flood `dvc metrics diff`.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from stages.core.errors import UserError
from stages.core.files import read_json, read_text
from stages.studies.plan import COSTS, Plan
from stages.studies.results import Scores

_MACHINE = ("processor", "gpu")
# The numbers of a run: what the file has of a cell's runs, and its decimals. A machine must have the largest memory.
_NUMBERS: dict[str, tuple[Callable[[Sequence[float]], float], int]] = {
    "runs_per_batch": (max, 0),
    "train_seconds": (fmean, 2),
    "decode_seconds": (fmean, 2),
    "peak_mb": (max, 1),
    "stored_parameters": (fmean, 0),
    "stored_bytes": (fmean, 0),
}
# What the table shows: column of the file, heading, unit and format.
_SHOWN = (
    ("train_seconds", "train s", 1, ",.1f"),
    ("decode_seconds", "decode s", 1, ",.1f"),
    ("peak_mb", "peak MB", 1, ",.0f"),
    ("stored_parameters", "stored parameters", 1, ",.0f"),
    ("stored_bytes", "stored KB", 1024, ",.1f"),
)
_UNKNOWN = "-"


def file_of(metrics: Path) -> Path:
    """The file of a study's costs, beside its metrics file."""
    return metrics.with_suffix(".costs.csv")


def costs_of(plan: Plan) -> dict[str, str]:
    """What a run of a cell costs, by column of the file; empty if the cell was run by code that did not measure it.

    A number that is not known of all its runs is missing. Raises UserError if the file of its costs has other runs.
    """
    file = plan.out / COSTS
    if not file.exists():
        return {}
    rows = read_json(file)
    if [(row["subset"], row["seed"]) for row in rows] != [(run.subset, run.seed) for run in plan.runs]:
        raise UserError(f"{file} is of other runs than params.yaml: dvc --cd studies repro {plan.study}")
    found = {name: " and ".join(dict.fromkeys(row[name] for row in rows if row[name])) for name in _MACHINE}
    for name, (of_cell, decimals) in _NUMBERS.items():
        values = [row[name] for row in rows]
        if None not in values:
            found[name] = f"{of_cell(values):.{decimals}f}"
    return found


def costs_csv(results: list[tuple[Plan, Scores]], metrics: Sequence[str]) -> str:
    """The CSV file of a study's costs: a row for each cell, with the mean of each metric. Empty: not known."""
    text = io.StringIO()
    columns = ["variant", "size", "runs", *_MACHINE, *_NUMBERS, *metrics]
    rows = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    rows.writeheader()
    for plan, scores in results:
        cell = {"variant": plan.variant, "size": plan.size, "runs": len(plan.runs)}
        rows.writerow(cell | costs_of(plan) | {metric: f"{scores[metric].mean:.4f}" for metric in metrics})
    return text.getvalue()


def cost_rows(file: Path, metric: str, qualities: Mapping[tuple[str, str], str]) -> list[str]:
    """The Markdown lines of a table of costs beside `metric`; none if the file is missing or has no costs.

    `qualities` are the metric's texts by variant and size.
    """
    cells = list(csv.DictReader(io.StringIO(read_text(file)))) if file.exists() else []
    cells = [cell for cell in cells if (cell["variant"], cell["size"]) in qualities]
    machines = dict.fromkeys(_machine(cell) for cell in cells if cell["processor"])
    if not machines:
        return []
    heads = ["variant", "examples", metric, *(head for _, head, _, _ in _SHOWN)]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for cell in cells:
        variant, size = cell["variant"], cell["size"]
        texts = [
            f"{float(cell[column]) / unit:{form}}" if cell[column] else _UNKNOWN for column, _, unit, form in _SHOWN
        ]
        lines.append(f"| {' | '.join([variant, size, qualities[variant, size], *texts])} |")
    return [f"What a run costs, on {', '.join(machines)}:", "", *lines, ""]


def _machine(cell: Mapping[str, str]) -> str:
    """The machine of a cell, and what its numbers are of."""
    if cell["gpu"]:
        return f"{cell['gpu']} (seconds by the clock, the GPU's memory)"
    return f"{cell['processor']} (seconds of a core, the process's memory)"
