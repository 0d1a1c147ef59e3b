"""Rows of whole documents, and the steps they are trained in."""

import bisect

import numpy as np

# The least that is drawn for the length of a row.
SHORTEST = 16


def documents(tokens: np.ndarray, end_of_text: int, most: int | None = None) -> np.ndarray:
    """Begin and end of the first `most` documents (None: of all), [documents, 2]; the closing pieces are outside."""
    ends = np.flatnonzero(tokens == end_of_text)[:most]
    return np.stack([np.concatenate([[0], ends[:-1] + 1]), ends], 1)


def joined(spans: np.ndarray, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Begin and end of each row, [rows, 2]: one document, or as many whole ones as a drawn length holds.

    The lengths are drawn evenly on a logarithmic scale, up to `longest`, where a longer document is cut. A row keeps
    the closing pieces between its documents and not the last one.
    """
    ends, rows, first = spans[:, 1].tolist(), [], 0
    while first < len(spans):
        begin = int(spans[first, 0])
        drawn = int(np.exp(rng.uniform(np.log(min(SHORTEST, longest)), np.log(longest + 1))))
        behind = max(first + 1, bisect.bisect_right(ends, begin + drawn))
        rows.append((begin, min(ends[behind - 1], begin + longest)))
        first = behind
    return np.array(rows)


def grouped(rows: np.ndarray, budget: int, extra: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Every row once, in steps of similar lengths [rows, 2] that hold `budget` tokens padded, in random order.

    Each row counts `extra` tokens more than it has. Raises ValueError where a row does not fit into the budget.
    """
    rows = rng.permutation(rows)  # else rows of one length would stay as they stand in the corpus
    lengths = rows[:, 1] - rows[:, 0] + extra
    order = np.argsort(lengths, kind="stable")
    rows, lengths = rows[order], lengths[order].tolist()
    if lengths[-1] > budget:
        raise ValueError(f"a row of {lengths[-1]} tokens does not fit into {budget}")
    steps, first = [], 0
    for behind in range(1, len(rows) + 1):
        if behind == len(rows) or lengths[behind] * (behind + 1 - first) > budget:
            steps.append(rows[first:behind])
            first = behind
    return [steps[index] for index in rng.permutation(len(steps))]
