"""SuperGLUE's metrics against values worked out by hand, naive counts and scikit-learn."""

import re
import string
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scoring.scores import Scores
from stages.scoring.superglue import accuracy_and_macro_f1, answers, options
from stages.scoring.superglue_files import CHOICE, COMMITMENT

CLASSES = COMMITMENT.official

commitment = partial(accuracy_and_macro_f1, CLASSES)
labels = st.lists(st.tuples(st.sampled_from([*CLASSES, "maybe", ""]), st.sampled_from(CLASSES)), min_size=1)
option = st.tuples(st.sampled_from(["0", "1", "1", "yes"]), st.sampled_from(CHOICE.official))
questions = st.lists(st.lists(option, min_size=1, max_size=4), min_size=1, max_size=6)
text = st.lists(st.sampled_from(["The", "a", "k", "K.", "l", "l,m", "—", "the—k", "A.", ""]), max_size=5).map(" ".join)
queries = st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1, max_size=5)


def sides(pairs):
    return [mine for mine, _ in pairs], [gold for _, gold in pairs]


def exact(metrics):
    """With all their digits."""
    return {name: metric.number(metric.segments.sum(axis=0)) for name, metric in metrics.items()}


def test_accuracy_and_macro_f1_by_hand():
    entailment, contradiction, neutral = CLASSES
    gold = [entailment, entailment, entailment, contradiction, contradiction, neutral]
    mine = [entailment, entailment, contradiction, contradiction, "perhaps", entailment]
    # entailment: 2 right, 1 false, 1 missed; contradiction: 1, 1, 1; neutral: 0, 0, 1
    expected = {"accuracy": 3 / 6, "F1": (4 / 6 + 2 / 4 + 0) / 3}
    assert exact(commitment(mine, gold)) == pytest.approx(expected)
    assert Scores.of(commitment(mine, gold)).metrics == {"accuracy": 0.5, "F1": 0.3889}
    # In the third and fourth segment alone two classes occur, in the last no prediction that is one.
    assert Scores.of(commitment(mine, gold), np.array([2, 3])).metrics == {"accuracy": 0.5, "F1": 0.3333}
    assert Scores.of(commitment(mine, gold), np.array([4])).metrics == {"accuracy": 0.0, "F1": 0.0}


@settings(deadline=None)
@given(labels)
def test_macro_f1_equals_scikit_learns(pairs):
    sklearn = pytest.importorskip("sklearn.metrics")
    mine, gold = sides(pairs)
    occurring = [name for name in CLASSES if name in mine + gold]
    f1 = sklearn.f1_score(gold, mine, labels=occurring, average="macro", zero_division=0)
    expected = {"accuracy": sklearn.accuracy_score(gold, mine), "F1": f1}
    assert exact(commitment(mine, gold)) == pytest.approx(expected, abs=1e-12)
    if set(mine) <= set(CLASSES):
        assert f1 == sklearn.f1_score(gold, mine, average="macro", zero_division=0)


def test_options_by_hand():
    gold = [["1", "0", "1"], ["0", "0"], ["1", "1"], ["0", "1"]]
    mine = [["1", "0", "1"], ["1", "0"], ["1", "x"], ["y", "1"]]
    # 4 of 5 found, one of the 5 that are said to be right is not; the y is wrong, but no 1
    assert exact(options(mine, gold)) == {"F1a": pytest.approx(4 / 5), "EM": 1 / 4}
    assert Scores.of(options(mine, gold), np.array([1, 2])).metrics == {"F1a": 0.5, "EM": 0.0}
    assert Scores.of(options(mine, gold), np.array([1])).metrics == {"F1a": 0.0, "EM": 0.0}


@settings(deadline=None)
@given(questions)
def test_options_equal_scikit_learns_f1_and_a_naive_count(sets):
    sklearn = pytest.importorskip("sklearn.metrics")
    mine, gold = sides([sides(question) for question in sets])
    flat_mine, flat_gold = sides([pair for question in sets for pair in question])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without any 1 it is 0, and scikit-learn warns
        f1 = sklearn.f1_score(flat_gold, flat_mine, labels=["1"], average="macro")
    errors = [sum(a != b for a, b in question) for question in sets]
    expected = {"F1a": f1, "EM": errors.count(0) / len(sets)}
    assert exact(options(mine, gold)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("mine", "gold", "f1", "em"),
    [
        ("Kel Lom", ["kel  lom"], 1, 1),
        ("the Kel, Lom!", ["A Kel-Lom"], 0, 0),  # punctuation goes, and leaves one word
        ("Kel Lom", ["Lom Kel"], 1, 0),
        ("Kel Lom", ["Nar", "Kel Lom Nar", "Nar Kel"], 2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3), 0),
        ("Kel Kel Lom", ["Kel"], 2 * (1 / 3) * 1 / (1 / 3 + 1), 0),  # a word counts as often as in both
        ("Kel", ["Nar", "kel"], 1, 1),
        ("Kel—the Lom", ["Kel— Lom"], 1, 1),  # an article is one beside any sign, not only in a word of its own
        ("a.n Kel", ["Kel"], 1, 1),  # punctuation goes before the articles
        ("theatre", ["atre"], 0, 0),
        ("Sonata", ["Sonat"], 0, 0),
        ("The", ["a"], 0, 1),  # SQuAD 1.1 too finds the same text, and no word in common
        ("", ["Kel"], 0, 0),
    ],
)
def test_answers_by_hand(mine, gold, f1, em):
    assert exact(answers([mine], [gold])) == {"F1": pytest.approx(f1), "EM": em}


def naive_answers(mine, golds):
    """F1 and EM of one question by removing the common words one at a time."""

    def words(text):
        kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
        return [word for word in re.sub(r"(?<!\w)(the|an|a)(?!\w)", " ", kept).split() if word]

    def f1(gold):
        left, common = words(gold), 0
        for word in words(mine):
            if word in left:
                left.remove(word)
                common += 1
        precision, recall = (common / len(side) if common else 0 for side in (words(mine), words(gold)))
        return 2 * precision * recall / (precision + recall) if common else 0

    return max(map(f1, golds)), max(" ".join(words(mine)) == " ".join(words(gold)) for gold in golds)


@settings(deadline=None)
@given(queries)
def test_answers_equal_a_naive_count(pairs):
    expected = np.mean([naive_answers(mine, golds) for mine, golds in pairs], axis=0)
    assert exact(answers(*sides(pairs))) == pytest.approx({"F1": expected[0], "EM": expected[1]}, abs=1e-12)
