"""BLEU against values worked out by hand, and against a second, naive implementation."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.scoring import mteval
from stages.scoring.mteval import lowercase, tokenize

word = st.sampled_from(["a", "b", "c", "D", "7", "."])
sentence = st.lists(word, min_size=1, max_size=7).map(" ".join)
corpus = st.lists(
    st.tuples(st.lists(word, max_size=7).map(" ".join), st.lists(sentence, min_size=1, max_size=3)), min_size=1
)


def bleu(hypotheses, references):
    """With all its digits."""
    metric = mteval.bleu(hypotheses, references)
    return metric.number(metric.segments.sum(axis=0))


def test_only_ascii_letters_are_lowercased():
    assert lowercase("AZ ÉÅ Straße") == "az ÉÅ straße"


def test_words_are_those_of_mteval():
    assert tokenize(["It's £3.50, OK? (Wi-Fi &amp; 10-15)"]) == [
        ["it's", "£3.50", ",", "ok", "?", "(", "wi-fi", "&", "10", "-", "15", ")"]
    ]


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        ("k l m n", ["k l m n"], 1.0),
        ("K l M n", ["k L m N"], 1.0),
        ("k l m n o", ["k l m n p"], (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        ("k l m n o", ["k l x", "x m n o y"], (5 / 5 * 3 / 4 * 1 / 3 * 1 / (2 * 2)) ** 0.25),
        # clipping: three k against two in one reference and one in the other
        ("k k k l", ["k k x y", "k x y z"], (2 / 4 * 1 / 3 * 1 / (2 * 2) * 1 / (4 * 1)) ** 0.25),
        # brevity: 6 words are closest to 4; of 3 and 5 words the shorter counts
        ("k l m n", ["k l m n o p", "k l m n o p q"], math.exp(1 - 6 / 4)),
        ("k l m n", ["k l m n o", "k l m"], 1.0),
        # no match at all: every order is smoothed, twice as much each time
        ("v w x y z", ["k l m n o"], (1 / (2 * 5) * 1 / (4 * 4) * 1 / (8 * 3) * 1 / (16 * 2)) ** 0.25),
        # an order without n-grams counts as precision 1
        ("k l m", ["k l m"], 1.0),
        ("k", ["k"], 1.0),
        ("", ["k l m n"], 0.0),
    ],
)
def test_by_hand(hypothesis, references, expected):
    assert bleu([hypothesis], [references]) == pytest.approx(expected, abs=1e-12)


def test_a_missing_reference_is_not_one_of_length_0():
    # Segment 2 has one reference, of 9 words; an empty second one would be closer to the 4 of the hypothesis.
    long = "k l m n o p q r s"
    assert bleu(["k l m n", "k l m n"], [["k l m n", "x"], [long]]) == pytest.approx(math.exp(1 - (4 + 9) / 8))


def naive_bleu(hypotheses, references):
    """The same definition by plain counting over lists."""
    log_sum, smooth = 0.0, 1
    hyps, refs = tokenize(hypotheses), [tokenize(segment) for segment in references]
    for n in (1, 2, 3, 4):
        grams = lambda words, n=n: [words[i : i + n] for i in range(len(words) - n + 1)]  # noqa: E731
        matches = total = 0
        for hyp, segment in zip(hyps, refs, strict=True):
            total += len(grams(hyp))
            for gram in {tuple(gram) for gram in grams(hyp)}:
                best = max(grams(ref).count(list(gram)) for ref in segment)
                matches += min(grams(hyp).count(list(gram)), best)
        if total:
            smooth *= 1 if matches else 2
            log_sum += math.log(matches / total if matches else 1 / (smooth * total))
    length = sum(map(len, hyps))
    closest = sum(
        min((len(ref) for ref in segment), key=lambda size: (abs(size - len(hyp)), size))
        for hyp, segment in zip(hyps, refs, strict=True)
    )
    return math.exp(min(0, 1 - closest / length) + log_sum / 4) if length else 0.0


@settings(deadline=None)
@given(corpus)
def test_equals_a_naive_count(pairs):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    assert bleu(hypotheses, references) == pytest.approx(naive_bleu(hypotheses, references))


@settings(deadline=None)
@given(corpus, st.randoms(use_true_random=False))
def test_order_of_references_does_not_matter(pairs, chance: random.Random):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    shuffled = [chance.sample(segment, len(segment)) for segment in references]
    assert bleu(hypotheses, shuffled) == pytest.approx(bleu(hypotheses, references))


def test_printed_digits():
    assert mteval.bleu(["k l m n o"], [["k l m n p"]]).score() == round((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, 4)
