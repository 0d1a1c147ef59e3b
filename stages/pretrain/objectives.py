"""What a T5 is trained for (Raffel et al. 2020; Lester et al. 2021, section 3.3): spans, then continuations.

An objective makes two texts of one: what the encoder reads, and what the decoder writes.
"""

from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def span_corruption(sentinels: np.ndarray, masked: float, span: float) -> Objective:
    """A share `masked` of the tokens is hidden in spans of `span` on average, each behind a sentinel; the target has
    each sentinel with what it hides. `sentinels` are ids, in the order in which a text takes them."""

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
    """`parts` lengths of at least 1 that sum to `total`, all such with the same chance."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def prefix_lm(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The text is cut at a place drawn evenly: its beginning is read, the rest is written (LM adaptation)."""
    cut = int(rng.integers(1, len(ids)))
    return ids[:cut], ids[cut:]
