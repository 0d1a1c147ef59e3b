"""BLEU of WebNLG and DART by hand and against sacrebleu's own corpus score."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from stages.scoring.multibleu import multibleu

word = st.sampled_from(["a", "b", "c", "D", "7", "."])
sentence = st.lists(word, max_size=9).map(" ".join)
corpus = st.lists(st.tuples(sentence, st.lists(sentence, min_size=1, max_size=3)), min_size=1, max_size=8)


def scores(hypotheses, references):
    return {name: metric.score() for name, metric in multibleu(hypotheses, references).items()}


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        ("k l m n", ["k l m n"], 100),
        ("K l m n", ["k l m n"], 0),  # case counts
        ("k l m n o", ["k l m n p"], 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        ("k l m x n", ["k l m n"], 0),  # no 4-gram: not smoothed
        ("k l m", ["k l m"], 0),
        ("k l m n", ["k l m n o p"], 100 * math.exp(1 - 6 / 4)),
        ("", ["k l m n"], 0),
    ],
)
def test_by_hand(hypothesis, references, expected):
    assert scores([hypothesis], [references])["BLEU"] == pytest.approx(expected, abs=0.005)


def test_a_missing_reference_has_length_0():
    # The second segment has one reference of 9 words; the empty one is closer to 4 than that.
    hypotheses, references = ["k l m n", "k l m n"], [["k l m n", "x"], ["k l m n o p q r s"]]
    assert scores(hypotheses, references) == {"BLEU": 100, "hyp_len": 8, "ref_len": 4}
    assert scores(hypotheses, [references[0], [*references[1], ""]]) == scores(hypotheses, references)


def test_only_ascii_white_space_sets_words_apart():
    assert scores(["a\u00a0b\u2003c\x1cd"], [["a"]])["hyp_len"] == 1
    assert scores(["a\x0bb\tc  d"], [["a"]])["hyp_len"] == 4
    assert scores(["a\u00a0b c d e"], [["a\u2003b c d e"]])["BLEU"] == 0  # and they are different words


@settings(deadline=None)
@given(corpus)
def test_equals_sacrebleu(pairs):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    most = max(map(len, references))
    padded = [segment + [""] * (most - len(segment)) for segment in references]
    columns = [list(column) for column in zip(*padded, strict=True)]
    theirs = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(hypotheses, columns)
    expected = {"BLEU": pytest.approx(theirs.score, abs=0.005001), "hyp_len": theirs.sys_len, "ref_len": theirs.ref_len}
    assert scores(hypotheses, references) == expected


@settings(deadline=None)
@given(corpus, st.randoms(use_true_random=False))
def test_order_of_references_does_not_matter(pairs, chance):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    assert scores(hypotheses, references) == scores(hypotheses, [chance.sample(s, len(s)) for s in references])
