"""How far a score can be trusted: bootstrap confidence intervals, and a paired test of two systems.

Both draw from the segments' statistics, so they hold for any metric that is a sum. Weights that come from all
references (NIST, CIDEr) stay those of the whole set. Draws, interval and test are sacrebleu's, with its seed:
for BLEU they give what `--confidence` and `--paired-ar` of sacrebleu print, but for ties, which it leaves out:
it gives the p-value of a system against itself as 0.0001.
"""

from dataclasses import dataclass

import numpy as np

from stages.scoring.scores import Metric

RESAMPLES = 1_000
TRIALS = 10_000
SEED = 12345


@dataclass(frozen=True)
class Interval:
    """The middle 95% of a metric's bootstrap resamples, and their mean."""

    mean: float
    low: float
    high: float


def interval(metric: Metric, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Bootstrap over segments (Koehn 2004)."""
    segments = len(metric.segments)
    drawn = np.random.default_rng(seed).choice(segments, size=(resamples, segments), replace=True)
    times = np.stack([np.bincount(row, minlength=segments) for row in drawn])  # [resamples, segments]
    numbers = np.sort(_numbers(metric, times))
    cut = resamples // 40
    return Interval(*map(metric.printed, (numbers.mean(), numbers[cut], numbers[-cut - 1])))


def p_value(one: Metric, other: Metric, trials: int = TRIALS, seed: int = SEED) -> float:
    """Approximate randomization (Riezler & Maxwell 2005), two-sided, of two systems on the same segments.

    The share of trials, in each of which every segment's outputs change systems or not by chance, whose scores
    differ at least as much as the systems do. Two systems of equal score have 1.
    """
    stays = np.random.default_rng(seed).integers(2, size=(trials, len(one.segments)), dtype=bool)
    difference = one.segments - other.segments
    swapped = stays.astype(np.float64) @ difference  # [trials, statistics]
    shuffled = _apart(one, other.segments.sum(axis=0) + swapped, one.segments.sum(axis=0) - swapped)
    found = _apart(one, one.segments.sum(axis=0)[None], other.segments.sum(axis=0)[None])
    rounding = 1e-9 * max(1.0, float(found[0]))
    return float((np.sum(shuffled >= found - rounding) + 1) / (trials + 1))


def _numbers(metric: Metric, times: np.ndarray) -> np.ndarray:
    """The metric of each row of `times`, [resamples, segments]: how often it holds each segment."""
    return np.array([metric.number(sums) for sums in times @ metric.segments])


def _apart(metric: Metric, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far the metric's numbers of two systems' sums, both [trials, statistics], are apart."""
    return np.abs([metric.number(a) - metric.number(b) for a, b in zip(one, other, strict=True)])
