"""Rows of whole documents, and the steps they are trained in."""

import bisect

import numpy as np

# The lower bound of a drawn length of a row, in tokens.
SHORTEST = 16


def documents(tokens: np.ndarray, end_of_text: int, most: int | None = None) -> np.ndarray:
    """[documents, 2]: begin and end, without the end-of-text token, of the first `most` documents (None: of all)."""
    ends = np.flatnonzero(tokens == end_of_text)[:most]
    return np.stack([np.concatenate([[0], ends[:-1] + 1]), ends], 1)


def joined(spans: np.ndarray, longest: int, rng: np.random.Generator) -> np.ndarray:
    """[rows, 2]: begin and end of each row. A row is one document, or as many whole ones as fit into a drawn length.

    Lengths are drawn evenly on a logarithmic scale up to `longest`; a longer document is cut there. A row keeps the
    end-of-text tokens between its documents, not the last one.
    """
    ends, rows, first = spans[:, 1].tolist(), [], 0
    while first < len(spans):
        begin = int(spans[first, 0])
        drawn = int(np.exp(rng.uniform(np.log(min(SHORTEST, longest)), np.log(longest + 1))))
        stop = max(first + 1, bisect.bisect_right(ends, begin + drawn))
        rows.append((begin, min(ends[stop - 1], begin + longest)))
        first = stop
    return np.array(rows)


def grouped(rows: np.ndarray, budget: int, extra: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Group the rows, each once, into steps [rows, 2] of rows of similar length, in random order.

    A step has at most `budget` tokens, padding included. Each row counts `extra` tokens more than it has. Raises
    ValueError for a row longer than the budget.
    """
    rows = rng.permutation(rows)  # else rows of one length would stay as they stand in the corpus
    lengths = rows[:, 1] - rows[:, 0] + extra
    order = np.argsort(lengths, kind="stable")
    rows, lengths = rows[order], lengths[order].tolist()
    if lengths[-1] > budget:
        raise ValueError(f"a row of {lengths[-1]} tokens does not fit into {budget}")
    steps, first = [], 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or lengths[stop] * (stop + 1 - first) > budget:
            steps.append(rows[first:stop])
            first = stop
    return [steps[index] for index in rng.permutation(len(steps))]
