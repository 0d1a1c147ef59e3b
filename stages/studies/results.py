"""What the runs of a study came to: means and standard deviations by variant, size and metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from stages.core.errors import UserError
from stages.core.files import read_json, read_jsonl
from stages.studies.plan import Plan

_NO_METRICS = ("subset", "seed", "reasons")


@dataclass(frozen=True)
class Spread:
    """Of a metric over the runs of a cell. `deviation` is the sample's, None of one run; `subsets` the mean of each."""

    mean: float
    deviation: float | None
    best: float
    subsets: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], subsets: int) -> "Spread":
        """Of the runs as `Plan.runs` orders them, those of a subset side by side."""
        seeds = len(values) // subsets
        means = tuple(fmean(values[start : start + seeds]) for start in range(0, len(values), seeds))
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, max(values), means)


# Of a cell, by metric; a metric that could not be computed is not there.
Scores = dict[str, Spread]


def votes_of(plan: Plan) -> dict[str, float]:
    """The metrics of the runs' votes; none where they cannot vote."""
    file = plan.scores / "votes.json"
    return read_json(file) if file.exists() else {}


def scores_of(plan: Plan) -> Scores:
    """Raises UserError if the cell's file is of other runs."""
    file = plan.scores / "runs.jsonl"
    rows = read_jsonl(file)
    if [(row["subset"], row["seed"]) for row in rows] != [(run.subset, run.seed) for run in plan.runs]:
        raise UserError(f"{file} is of other runs than params.yaml: dvc --cd studies repro summary@{plan.study}")
    found = {}
    for metric in rows[0]:
        values = [row[metric] for row in rows]
        if metric not in _NO_METRICS and all(value is not None and math.isfinite(value) for value in values):
            found[metric] = Spread.of(values, plan.subsets)
    return found


def ahead(one: Spread, other: Spread) -> tuple[float, float] | None:
    """By how much one cell's mean is above another's of the same subsets, and the standard error of that.

    The runs of a subset share its examples, so that the subsets are what is independent; None of a single one.
    """
    gaps = [a - b for a, b in zip(one.subsets, other.subsets, strict=True)]
    return (fmean(gaps), stdev(gaps) / len(gaps) ** 0.5) if len(gaps) > 1 else None
