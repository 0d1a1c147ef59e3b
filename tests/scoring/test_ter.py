"""TER by hand, against tercom's rules without any shortcut, and against sacrebleu where the two agree."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics import TER

from stages.scoring import ter
from stages.scoring.ter import BEAM, Shift, align, distance, edits

few = st.text(st.sampled_from("abcdef"), max_size=12)
long = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=15, max_size=45)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("abcd", "abcd", 0),
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abcd", "abxd", 1),
        ("abcd", "abd", 1),
        ("abd", "abcd", 1),
        ("cdab", "abcd", 1),  # one shift
        ("xcdab", "abcd", 2),
        ("abcdefghijk", "bcdefghijka", 1),
        ("klmnopqrstabcdefghij", "abcdefghijklmnopqrst", 1),  # a block of ten
        ("klmnopqrstuabcdefghijX", "abcdefghijXklmnopqrstu", 2),  # one of eleven takes two shifts
    ],
)
def test_by_hand(hypothesis, reference, expected):
    assert edits(hypothesis, reference) == expected


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (Shift(2, 3, -1), "cdabefg"),
        (Shift(2, 3, 0), "acdbefg"),
        (Shift(2, 3, 5), "abefcdg"),
        (Shift(2, 3, 6), "abefgcd"),
        (Shift(1, 3, 2), "aebcdfg"),  # into itself: as far to the right as the target lies in it
        (Shift(1, 3, 3), "aefbcdg"),
        (Shift(4, 6, 6), "abcdefg"),
    ],
)
def test_where_a_block_goes(shift, expected):
    assert shift.apply("abcdefg") == expected


def test_ties_prefer_a_substitution_then_an_insertion():
    found = align("xay", "ab")
    assert (found.edits, found.hypothesis_errors, found.reference_errors, found.aligned) == (
        2,
        [True, False, True],
        [False, True],
        [1, 2],
    )
    # A deleted reference word belongs to the hypothesis word before it; there is none before the first.
    assert align("b", "ab").aligned == [-1, 0]
    assert align("a", "abc").aligned == [0, 0, 0]


def test_the_beam_cuts_off_a_better_alignment():
    words = "".join(map(chr, range(200, 230)))
    hypothesis, reference = words + "y" * 5, "x" * 25 + words
    assert Levenshtein.distance(hypothesis, reference) == 30 < align(hypothesis, reference).edits
    assert distance(hypothesis, reference, limit=99) == align(hypothesis, reference).edits


@settings(deadline=None)
@given(long, long)
def test_the_distance_is_that_of_the_alignment(hypothesis, reference):
    exact = align(hypothesis, reference).edits
    assert distance(hypothesis, reference, limit=exact) == exact
    assert exact == 0 or distance(hypothesis, reference, limit=exact - 1) > exact - 1
    assert exact <= max(len(hypothesis), len(reference)) + BEAM


def plain_edits(hypothesis, reference):
    """The rules of tercom word for word: every shift of every block, each aligned in full."""
    shifted, alignment = 0, align(hypothesis, reference)
    while True:
        best, chosen = alignment.edits, None
        for length in range(10, 0, -1):
            for start in range(len(hypothesis) - length + 1):
                for target in plain_targets(hypothesis, reference, start, length, alignment):
                    if alignment.edits - best > 2 * length or (chosen and alignment.edits - best == 2 * length):
                        continue
                    moved = Shift(start, start + length - 1, target).apply(hypothesis)
                    total = align(moved, reference).edits + 1
                    if total < best or (total == best and chosen is None):
                        best, chosen = total, moved
        if chosen is None:
            return shifted + alignment.edits
        hypothesis, shifted, alignment = chosen, shifted + 1, align(chosen, reference)


def plain_targets(hypothesis, reference, start, length, alignment):
    end = start + length - 1
    for shorter in range(1, length):  # a block is reached only by way of its beginnings
        found = [p for p in range(len(reference)) if reference[p : p + shorter] == hypothesis[start : start + shorter]]
        outside = [p for p in found if not start <= alignment.aligned[p] < start + shorter]
        if not found or (not outside and (shorter == 1 or any(alignment.hypothesis_errors[start : start + shorter]))):
            return
    for place in range(len(reference) - length + 1):
        if reference[place : place + length] != hypothesis[start : end + 1]:
            continue
        if start <= alignment.aligned[place] <= end:
            continue
        if not any(alignment.hypothesis_errors[start : end + 1]):
            continue
        if not any(alignment.reference_errors[place : place + length]):
            continue
        for offset in range(-1, length):
            if offset == -1 and place == 0:
                yield -1
            elif alignment.aligned[place + offset] != start and (
                offset == 0 or alignment.aligned[place + offset] != alignment.aligned[place]
            ):
                yield alignment.aligned[place + offset]


@settings(deadline=None, max_examples=300)
@given(few, few)
def test_equals_the_rules_without_shortcuts(hypothesis, reference):
    assert edits(hypothesis, reference) == plain_edits(hypothesis, reference)


@settings(deadline=None, max_examples=50)
@given(long, st.integers(0, 40), st.integers(1, 12), st.integers(0, 40))
def test_equals_the_rules_without_shortcuts_on_long_texts(reference, start, length, target):
    """A block moved, words lost and changed: what the beam and the order of shifts are about."""
    block, rest = reference[start : start + length], reference[:start] + reference[start + length :]
    hypothesis = rest[:target] + block + rest[target:][1:].replace("e", "x")
    assert edits(hypothesis, reference) == plain_edits(hypothesis, reference)


def test_equals_sacrebleu_on_short_texts():
    """On long ones sacrebleu tries fewer shifts and, rarely, finds other counts."""
    rng, theirs = random.Random(0), TER(normalized=False, no_punct=False, case_sensitive=False)
    for _ in range(500):
        hypothesis, reference = ("".join(rng.choices("abcd", k=rng.randint(least, 5))) for least in (0, 1))
        counted = theirs.sentence_score(" ".join(hypothesis), [" ".join(reference)])
        assert edits(hypothesis, reference) == counted.num_edits, (hypothesis, reference)


@settings(deadline=None)
@given(few, few)
def test_bounds(hypothesis, reference):
    found = edits(hypothesis, reference)
    assert abs(len(hypothesis) - len(reference)) <= found <= Levenshtein.distance(hypothesis, reference)
    assert (found == 0) == (hypothesis == reference)


def scores(hypotheses, references):
    return {name: metric.score() for name, metric in ter.ter(hypotheses, references).items()}


def test_the_fewest_edits_over_the_mean_length():
    found = scores(["a b c", "x"], [["a b c d e", "a b d"], ["x"]])
    assert found == {"TER": 1 / (4 + 1), "TER_edits": 1, "TER_ref_words": 5}


def test_case_and_white_space():
    assert scores(["The\tDOG  É "], [["the dog é"]])["TER"] == 0
    assert scores(["a\u00a0b"], [["a b"]])["TER_edits"] == 2  # for Java a no-break space is no white space


@settings(deadline=None)
@given(few, st.lists(few.filter(bool), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_order_of_references_does_not_matter(hypothesis, references, chance):
    spaced = [" ".join(text) for text in references]
    shuffled = chance.sample(spaced, len(spaced))
    assert scores([" ".join(hypothesis)], [spaced]) == pytest.approx(scores([" ".join(hypothesis)], [shuffled]))


def test_ten_thousand_words():
    words = [f"w{number % 97}" for number in range(10_000)]
    assert scores([" ".join(words)], [["w1 w2 w3"]])["TER_edits"] == 10_000 - 3
