"""NIST against values worked out by hand."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scoring import nist as module
from stages.scoring.nist import length_penalty

log2 = math.log2
word = st.sampled_from(["a", "b", "c", "D", "0", "."])
text = st.lists(word, min_size=1, max_size=7).map(" ".join)


def nist(hypotheses, references):
    """With all its digits."""
    metric = module.nist(hypotheses, references)
    return metric.number(metric.segments.sum(axis=0))


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        # k: 2 of 4 words, l and m: 1 of 4; "k l" and "k m": 1 of 2 "k"; all that follows is certain
        ("k l k m", ["k l k m"], (1 + 2 + 1 + 2) / 4 + (1 + 0 + 1) / 3),
        # each word 1 of 3; two thirds of the length: half the score
        ("k l", ["k l m"], 0.5 * log2(3)),
        # clipping: k at most twice, "k k" once; the mean reference has 2 words, so no penalty
        ("k k k", ["k k", "k l"], 2 * log2(4 / 3) / 3 + 1 * log2(3 / 1) / 2),
        # a reference that stands twice counts twice: k 2 of 4, "k l" 2 of 2
        ("k l", ["k l", "k l"], (1 + 1) / 2),
        ("x y", ["k l"], 0.0),
        ("", ["k l"], 0.0),
        ("k l", ["<skipped>"], 0.0),  # which is no word for mteval
    ],
)
def test_by_hand(hypothesis, references, expected):
    assert nist([hypothesis], [references]) == pytest.approx(expected, abs=1e-12)


def test_a_lone_0_is_no_word_before_another_one():
    # As "k l k m" above, but "0 l" and "0 m" have log2(4 words / 1), not log2(2 / 1).
    assert nist(["0 l 0 m"], [["0 l 0 m"]]) == pytest.approx((1 + 2 + 1 + 2) / 4 + (2 + 0 + 2) / 3)


def test_information_comes_from_all_segments():
    # 8 words, each of them twice: 2 bits; every second word certain.
    assert nist(["k l", "m n"], [["k l", "k l"], ["m n", "m n"]]) == pytest.approx(2)


def test_reference_length_is_all_words_over_the_mean_number_of_references():
    # 10 words, on average 2 references: length 5. The mean of the segments' mean lengths would be 4 + 2.
    references = [["k l m n"], ["k l", "k m", "k n"]]
    one, two = nist(["k l", "k l"], references), nist(["k l k", "k l"], references)
    assert one == pytest.approx(length_penalty(4 / 5) * (2 * (log2(10 / 4) + log2(10 / 2)) / 4 + 2 * log2(4 / 2) / 2))
    assert two == pytest.approx(2 * (log2(10 / 4) + log2(10 / 2)) / 5 + 2 * log2(4 / 2) / 3)


def test_case_and_punctuation():
    assert nist(["The CAT, it sat."], [["the cat , It SAT ."]]) == pytest.approx(log2(6))


@pytest.mark.parametrize(("ratio", "expected"), [(0, 0), (-1, 0), (2 / 3, 0.5), (1, 1), (1.5, 1)])
def test_length_penalty(ratio, expected):
    assert length_penalty(ratio) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1), st.randoms(use_true_random=False))
def test_order_of_references_does_not_matter(pairs, chance: random.Random):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    shuffled = [chance.sample(segment, len(segment)) for segment in references]
    assert nist(hypotheses, shuffled) == pytest.approx(nist(hypotheses, references))
