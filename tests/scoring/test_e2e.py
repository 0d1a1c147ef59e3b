"""The whole metric set: what any text does to it, and the real METEOR (seconds per start, hence once per module)."""

import math

import pytest

from stages.core.errors import UserError
from stages.scoring import e2e

NAMES = ["BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"]

# Hypotheses that break naive pipes, each with its references.
AWKWARD = [
    ("", ["The Blue Door is a pub."]),
    ("pub", ["pub", "A pub it is."]),
    ("The Crane ||| serves fish |||", ["The Crane ||| serves ||| fish.", "|||"]),
    ("A cosy café\nby the river.", ["A cosy café by the\r\nriver."]),
    ("It costs £20\u00a0or less\u2028today\u0085.", ["It costs £20 or less today."]),
    ("Kids love it 🙂 \x0bhere", ["🙂", "Kids love it 🙂 here"]),
    ("...", ["Closed on Mondays.", "  \t"]),
    (" ".join(f"word{number % 97}" for number in range(10_000)), ["word1 word2 word3", "word5 word6"]),
]


@pytest.fixture(scope="module")
def identical(real_java):
    texts = [
        "The Old Mill serves cheap pies by the sea.",
        "Émile's: rated 5 out of 5, £10-15!",
        "Try the ||| one 🙂 today.",
    ]
    return e2e.score(texts, [[text] for text in texts])


@pytest.fixture(scope="module")
def awkward(real_java):
    return e2e.score([hypothesis for hypothesis, _ in AWKWARD], [references for _, references in AWKWARD])


def test_names_and_order(identical):
    assert list(identical.metrics) == NAMES
    assert identical.reasons == {}


def test_identical_texts_score_the_maximum(identical):
    assert (identical.metrics["BLEU"], identical.metrics["METEOR"], identical.metrics["ROUGE_L"]) == (1, 1, 1)
    assert identical.metrics["CIDEr"] == 10
    assert identical.metrics["NIST"] > 4


def test_awkward_texts_have_all_metrics(awkward):
    assert awkward.reasons == {}
    assert all(value > 0 and round(value, 4) == value for value in awkward.metrics.values())


@pytest.mark.slow
def test_white_space_and_blank_references_change_nothing(awkward, real_java):
    clean = [(" ".join(text.split()), [" ".join(ref.split()) for ref in refs if ref.strip()]) for text, refs in AWKWARD]
    assert e2e.score(*map(list, zip(*clean, strict=True))) == awkward


def test_without_java_bleu_and_nist_remain(no_java):
    scores = e2e.score(["k l m n o"], [["k l m n p"]])
    assert scores.metrics == {
        "BLEU": round((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, 4),
        "NIST": round(4 * math.log2(5) / 5, 4),
        "METEOR": None,
        "ROUGE_L": None,
        "CIDEr": None,
    }
    assert list(scores.reasons) == NAMES[2:]


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["k", "l"], [["k"], ["l"], ["m"]], "2 hypotheses, but references for 3 segments"),
        ([], [["k"]], "0 hypotheses, but references for 1 segments"),
        ([], [], "there is no hypothesis to score"),
        (["k", "l"], [["k"], []], "segment 2 has no reference"),
        (["k", "l"], [["k"], [" \u00a0", ""]], "segment 2 has no reference"),
    ],
)
def test_what_cannot_be_scored(no_java, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        e2e.score(hypotheses, references)
