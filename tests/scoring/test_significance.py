"""Intervals and p-values equal to sacrebleu's own for BLEU, and what they say where the answer is known."""

import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from stages.scoring.multibleu import multibleu
from stages.scoring.scores import mean
from stages.scoring.significance import interval, p_value

SENTENCES = 40


@pytest.fixture(scope="module")
def corpus():
    """References and two systems, the second one with more wrong words."""
    rng = random.Random(0)
    references = [" ".join(rng.choices("abcdefgh", k=rng.randint(6, 14))) for _ in range(SENTENCES)]
    systems = [
        [" ".join(rng.choice("xyz") if rng.random() < wrong else word for word in text.split()) for text in references]
        for wrong in (0.10, 0.14)
    ]
    return references, *systems


def bleu(hypotheses, references):
    return multibleu(hypotheses, [[text] for text in references])["BLEU"]


def test_interval_is_sacrebleus(corpus, monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    references, hypotheses, _ = corpus
    theirs = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(
        hypotheses, [references], n_bootstrap=1000
    )
    ours = interval(bleu(hypotheses, references))
    assert ours.mean == pytest.approx(theirs._mean, abs=0.005001)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, abs=0.010001)
    assert ours.low < theirs.score < ours.high


def test_p_value_is_sacrebleus(corpus, monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    references, one, other = corpus
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    test = PairedTest(
        [("one", one), ("other", other)], {"BLEU": metric}, [references], test_type="ar", n_samples=10_000
    )
    theirs = test()[1]["BLEU"][1].p_value
    assert 0.001 < theirs < 0.5, "a p-value that could differ"
    # Trials exactly as far apart as the systems count here, and not there.
    assert theirs <= p_value(bleu(one, references), bleu(other, references)) <= theirs + 0.001


def test_no_difference_has_p_value_1(corpus):
    references, one, _ = corpus
    assert p_value(bleu(one, references), bleu(one, references)) == 1
    assert p_value(mean([0, 1, 1]), mean([1, 1, 0])) == 1


def test_exact_p_value():
    # Five segments, one system right in all and the other in none: 2 of 32 exchanges are as extreme.
    assert p_value(mean([1.0] * 5), mean([0.0] * 5)) == pytest.approx(2 / 32, abs=0.01)
    # By chance alone: three better, two worse.
    assert p_value(mean([1, 1, 1, 0, 0]), mean([0, 0, 0, 1, 1])) == pytest.approx(1, abs=1e-12)


def test_interval_of_a_mean():
    ours = interval(mean(np.arange(1000) / 999))
    error = np.sqrt(1 / 12 / 1000)
    assert ours.mean == pytest.approx(0.5, abs=0.2 * error)
    assert ours.high - ours.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_interval_of_equal_segments_is_a_point():
    ours = interval(mean([0.25] * 7, decimals=4))
    assert (ours.mean, ours.low, ours.high) == (0.25, 0.25, 0.25)
