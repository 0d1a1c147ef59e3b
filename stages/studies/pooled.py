"""A paired test of two cells: of the outputs of all their runs together, a segment for each run and record.

It asks whether two variants differ on these training samples, beyond the chance of test records and outputs. Other
samples may give another answer: for them the standard error over the subsets stands beside it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.scoring.scores import Metric, Metrics
from stages.scoring.significance import p_value


def pooled(runs: Sequence[Metrics], shown: Sequence[str]) -> dict[str, Metric]:
    """The metrics named in `shown` of the outputs of all runs together, by name.

    A metric that is not to be had for each run is left out.
    """
    found = {}
    for name in shown:
        parts = [run.get(name) for run in runs]
        if all(isinstance(part, Metric) for part in parts):
            found[name] = replace(parts[0], segments=np.concatenate([part.segments for part in parts]))
    return found


def p_values(one: dict[str, Metric], other: dict[str, Metric]) -> dict[str, float]:
    """The p-value of each metric that both have, by approximate randomization (`significance.p_value`)."""
    return {name: p_value(metric, other[name]) for name, metric in one.items() if name in other}
