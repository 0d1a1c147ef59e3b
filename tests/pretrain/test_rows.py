"""Rows hold whole documents and everything once; steps are full, of similar lengths and in random order."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pretrain import rows

END = 0


def corpus(lengths):
    return np.concatenate([[*range(1, length + 1), END] for length in lengths]).astype(np.uint16)


@given(st.lists(st.integers(1, 120), min_size=1, max_size=60), st.integers(20, 100), st.integers(0, 2**32))
def test_rows_are_consecutive_whole_documents(lengths, longest, seed):
    tokens = corpus(lengths)
    spans = rows.documents(tokens, END)
    assert [end - begin for begin, end in spans] == lengths
    made = rows.joined(spans, longest, np.random.default_rng(seed))
    begins, ends, at = set(spans[:, 0].tolist()), set(spans[:, 1].tolist()), 0
    for begin, end in made.tolist():
        assert begin == at and begin in begins and 0 < end - begin <= longest
        if end not in ends:  # only a document that does not fit is cut
            assert end - begin == longest and END not in tokens[begin:end]
            end = next(e for e in spans[:, 1].tolist() if e > end)
        assert tokens[end] == END
        at = end + 1
    assert at == len(tokens), "nothing is left out"


def test_lengths_are_drawn_over_the_whole_range():
    spans = rows.documents(corpus([9] * 20_000), END)
    lengths = np.diff(rows.joined(spans, 500, np.random.default_rng(0)))[:, 0]
    shares = [np.mean((a <= lengths) & (lengths < b)) for a, b in ((0, 40), (40, 90), (90, 210), (210, 501))]
    assert all(0.19 < share < 0.31 for share in shares), shares
    assert lengths.max() > 480


def test_only_so_many_documents_are_read():
    assert rows.documents(corpus([3, 4, 5]), END, 2).tolist() == [[0, 3], [4, 8]]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=200), st.integers(0, 2**32))
def test_steps_hold_every_row_once_within_the_budget(lengths, seed):
    ends = np.cumsum(lengths)
    made = np.stack([ends - lengths, ends], 1)
    steps = rows.grouped(made, 300, 2, np.random.default_rng(seed))
    assert sorted(row for step in steps for row in step.tolist()) == made.tolist()
    ranges = [(np.diff(step).min(), np.diff(step).max(), len(step)) for step in steps]
    # Of steps of one length, the one that is not full comes last.
    ranges.sort(key=lambda one: (one[0], one[1], -one[2]))
    for (low, high, count), (_, above, _) in zip(ranges, [*ranges[1:], (0, 90, 0)], strict=True):
        assert (high + 2) * count <= 300
        assert high <= above and low > 0
    # All but the longest step are full: not even a row of the next step's length fits in.
    for (_, _, count), (_, above, _) in itertools.pairwise(ranges):
        assert (above + 2) * (count + 1) > 300


def test_the_order_is_random_and_a_function_of_the_seed():
    made = np.stack([np.arange(0, 4000, 40), np.arange(0, 4000, 40) + np.arange(1, 101) // 4 + 1], 1)
    one, two, other = (rows.grouped(made, 120, 2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    longest = [np.diff(step).max() for step in one]
    assert longest != sorted(longest) and longest != [np.diff(step).max() for step in other]


def test_a_row_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="a row of 102 tokens"):
        rows.grouped(np.array([[0, 100]]), 101, 2, np.random.default_rng(0))


def test_rows_of_one_length_are_mixed():
    made = np.stack([np.arange(0, 400, 4), np.arange(3, 403, 4)], 1)
    for step in rows.grouped(made, 50, 2, np.random.default_rng(0)):
        assert len(step) == 10 and np.abs(np.diff(step[:, 0])).max() > 8, "neighbours in the corpus"
