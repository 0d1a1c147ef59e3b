"""Accuracy and F1 of the positive class, as T5 counts them for QQP and MRPC: what is no label counts as the other one.

In [0, 1], to 4 decimals. No official file is read: hypotheses and references come from this project's own tasks.
"""

import numpy as np

from stages.scoring.scores import Metric, Metrics, ratio
from stages.scoring.superglue import DECIMALS, accuracy


def accuracy_and_f1(positive: str, hypotheses: list[str], references: list[str], labels: tuple[str, ...]) -> Metrics:
    """Of labels; F1 is 0 where neither side has the positive class."""
    counts = []
    for mine, gold in zip(hypotheses, references, strict=True):
        found = mine == positive if mine in labels else gold != positive
        counts.append((2 * (found and gold == positive), found + (gold == positive)))
    return accuracy(hypotheses, references) | {"F1": Metric(np.array(counts, dtype=np.float64), ratio, DECIMALS)}
