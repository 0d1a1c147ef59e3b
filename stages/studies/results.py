"""Statistics over the runs of a cell: mean and standard deviation of each metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from stages.core.errors import UserError
from stages.core.files import read_json, read_jsonl
from stages.studies.plan import TESTS, Plan

_NO_METRICS = ("subset", "seed", "reasons")


@dataclass(frozen=True)
class Spread:
    """Statistics of one metric over the runs of a cell.

    `deviation`: sample standard deviation, None for a single run; `best`: the highest value; `samples`: the mean of
    each subset, or with a single subset the value of each run.
    """

    mean: float
    deviation: float | None
    best: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], subsets: int) -> "Spread":
        """The statistics of `values`, one for each run in the order of `Plan.runs`, with `subsets` subsets."""
        seeds = len(values) // subsets if subsets > 1 else 1
        means = tuple(fmean(values[start : start + seeds]) for start in range(0, len(values), seeds))
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, max(values), means)


# The statistics of a cell by metric, without metrics that could not be computed.
Scores = dict[str, Spread]


def votes_of(plan: Plan) -> dict[str, float]:
    """The metrics of the majority vote of a cell's runs; empty if its runs do not vote."""
    file = plan.scores / "votes.json"
    return read_json(file) if file.exists() else {}


def scores_of(plan: Plan) -> Scores:
    """The statistics of a cell by metric. Raises UserError if the file of its scores has other runs."""
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


def tests_of(plan: Plan) -> dict[str, float]:
    """The p-values of a cell against the first variant's cell of its size, by metric; empty for that cell itself."""
    file = plan.scores / TESTS
    return read_json(file) if file.exists() else {}


def ahead(one: Spread, other: Spread) -> tuple[float, float] | None:
    """The paired difference of two cells on the same subsets, `one` minus `other`, and its standard error.

    Only subsets are independent samples, since the runs of a subset share its examples. With a single subset, the runs
    of the same seed are paired, and the standard error is over seeds. None for a single run.
    """
    gaps = [a - b for a, b in zip(one.samples, other.samples, strict=True)]
    return (fmean(gaps), stdev(gaps) / len(gaps) ** 0.5) if len(gaps) > 1 else None
