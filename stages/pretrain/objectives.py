"""Objectives of T5: span corruption (Raffel et al. 2020) and prefix LM (Lester et al. 2021, section 3.3).

An objective splits a text in two: the source, which the encoder reads, and the target, which the decoder writes.
"""

from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def span_corruption(sentinels: np.ndarray, masked: float, span: float) -> Objective:
    """Replace spans of the source by sentinels; the target has each sentinel, then the tokens that it replaces.

    A share `masked` of the tokens is replaced, in spans of `span` tokens on average. `sentinels` are ids, used in
    this order in each text.
    """

    def apply(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        hidden = min(max(round(masked * len(ids)), 1), len(ids) - 1)
        spans = min(max(round(hidden / span), 1), len(ids) - hidden, len(sentinels))
        kept, taken = _parts(len(ids) - hidden, spans, rng), _parts(hidden, spans, rng)
        source, target, start = [], [], 0
        for number in range(spans):
            middle, end = start + kept[number], start + kept[number] + taken[number]
            source += [ids[start:middle], sentinels[number : number + 1]]
            target += [sentinels[number : number + 1], ids[middle:end]]
            start = end
        return np.concatenate(source), np.concatenate(target)

    return apply


def _parts(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `parts` lengths of at least 1 that sum to `total`, each such list with the same probability."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def prefix_lm(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut the text at a uniformly drawn place: the source is its beginning, the target the rest (LM adaptation)."""
    cut = int(rng.integers(1, len(ids)))
    return ids[:cut], ids[cut:]
