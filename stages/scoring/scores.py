"""A metric is a sum over segments and the number that the sum gives; where there is none, a reason.

All official scores have that form: BLEU adds n-gram counts, TER edits and words, METEOR matches, a mean its
values. So a segment is counted once, and whatever is made of segments (the whole set, the seen categories,
a bootstrap resample) is one more sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np


class Unavailable(Exception):
    """A metric cannot be computed here; the message says why, and what to install, in one line."""


@dataclass(frozen=True)
class Metric:
    """What each segment adds, [segments, statistics], and the number of a sum of it, [statistics]."""

    segments: np.ndarray
    number: Callable[[np.ndarray], float]
    decimals: int | None = None  # as the official script prints it; None: all of them
    detail: bool = False  # a length or a number of edits that a score is made of
    whole_set_only: bool = False  # its weights come from all segments: a subset alone would have others

    def score(self) -> float:
        """The number of all its segments, as the official script prints it."""
        # In order, as the scripts add; the sum of a single column would be numpy's, which adds in pairs.
        sums = np.cumsum(self.segments, axis=0)[-1:].sum(axis=0)
        return self.printed(self.number(sums))

    def of(self, chosen: np.ndarray) -> "Metric":
        """The same of the chosen segments alone (a mask or indices)."""
        return replace(self, segments=self.segments[chosen])

    def printed(self, number: float) -> float:
        return float(number) if self.decimals is None else round(float(number), self.decimals)


# A metric set in the order of its official table. Where a metric cannot be had, why.
Metrics = dict[str, Metric | Unavailable]


def ratio(sums: np.ndarray) -> float:
    """The first statistic over the second; 0 where nothing was counted."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0


def mean(values: Sequence[float], decimals: int | None = None, whole_set_only: bool = False) -> Metric:
    """The mean of one value a segment."""
    values = np.asarray(values, dtype=np.float64)
    statistics = np.stack([values, np.ones_like(values)], axis=1)
    return Metric(statistics, ratio, decimals, whole_set_only=whole_set_only)


def detail(values: Sequence[float]) -> Metric:
    """A sum that stands beside a score: words of the hypotheses, edits."""
    return Metric(np.asarray(values, dtype=np.float64)[:, None], lambda sums: sums[0], detail=True)


def attempt(name: str, compute: Callable[[], Metric]) -> Metrics:
    """The metric under its name; if it is Unavailable, that."""
    try:
        return {name: compute()}
    except Unavailable as error:
        return {name: error}


@dataclass(frozen=True)
class Scores:
    """Numbers by name. One that could not be computed is None and has its reason under the same name."""

    metrics: dict[str, float | None]
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Metrics, chosen: np.ndarray | None = None) -> "Scores":
        """The numbers of all segments, or of the `chosen` ones (a mask or indices)."""
        numbers, reasons = {}, {}
        for name, whole in metrics.items():
            metric = whole if chosen is None else part(whole, chosen)
            available = isinstance(metric, Metric)
            numbers[name] = metric.score() if available else None
            reasons |= {} if available else {name: str(metric)}
        return cls(numbers, reasons)


def part(metric: Metric | Unavailable, chosen: np.ndarray) -> Metric | Unavailable:
    """The metric of the chosen segments alone (a mask or indices), or why there is none."""
    if isinstance(metric, Unavailable):
        return metric
    if metric.whole_set_only:
        return Unavailable("weighs by all references, so that the subset's files scored alone give another number")
    return metric.of(chosen)
