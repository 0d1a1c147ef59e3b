"""METEOR 1.5 (Denkowski & Lavie 2014), English, normalised: matches by the jar in pycocoevalcap.

The jar's program matches words, stems, synonyms and paraphrases; the score of its counts is a formula. The
package's own wrapper of the jar is not used: it waits for ever in `__del__` when Java died. The jar is not given its
own table of paraphrases either, which it reads for seconds, but the part of it that can match (`meteor_paraphrases.py`).
"""

import contextlib
import gzip
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from stages.scoring import java
from stages.scoring.meteor_paraphrases import Paraphrases
from stages.scoring.scores import Metric, Unavailable

Meteor = Callable[[list[str], list[list[str]]], Metric]

# The English parameters of METEOR 1.5: weights of exact, stem, synonym and paraphrase matches; recall against
# precision; exponent and weight of the fragmentation penalty; content against function words.
_MODULES = (1.0, 0.6, 0.8, 0.6)
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
# Columns of its statistics behind lengths and function words of hypothesis and reference.
_STATISTICS = 23
_MATCHES, _CHUNKS, _MATCHED = slice(4, 20), 20, slice(21, 23)
_SIDES = (0, 1)  # hypothesis, reference


@contextlib.contextmanager
def scorer() -> Iterator[Meteor]:
    """METEOR as a function of hypotheses and references, `references[i]` those of `hypotheses[i]`, at least one.

    No text holds a line break. The score is in [0, 1].
    A call raises Unavailable if Java is missing or fails, and UserError if the user's cache, where the paraphrases are
    prepared once, cannot be written.
    """
    paraphrases = cache(lambda: Paraphrases.of(table()))  # for all calls in the block

    def score(hypotheses: list[str], references: list[list[str]]) -> Metric:
        java.find()  # without it nothing is prepared
        counts = statistics(paraphrases(), hypotheses, references)
        # The one chunk of a perfect match is no fragment: METEOR does not count it into a sum.
        perfect = (counts[:, _MATCHED] == counts[:, :2]).all(axis=1) & (counts[:, _CHUNKS] == 1)
        counts[perfect, _CHUNKS] = 0
        return Metric(counts, meteor_of)

    yield score


def table() -> Path:
    """METEOR's whole table of paraphrases, in pycocoevalcap."""
    return _package() / "data" / "paraphrase-en.gz"


def _package() -> Path:
    from pycocoevalcap.meteor import meteor as package

    return Path(package.__file__).parent


def command(paraphrases: Path) -> list[str]:
    """METEOR with a table of paraphrases, as a program that reads and answers lines. Raises Unavailable without Java."""
    options = ["-stdio", "-l", "en", "-norm", "-a", str(paraphrases)]
    return [java.find(), "-Xmx2G", *java.SHORT, "-jar", str(_package() / "meteor-1.5.jar"), "-", "-", *options]


def statistics(paraphrases: Paraphrases, hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    """[segments, 23]: METEOR's statistics of each hypothesis against the reference that fits it best.

    Raises Unavailable if Java is missing or fails.
    """
    answers = _answers(
        [
            " ||| ".join(["SCORE", *(text.replace("|||", "| | |") for text in (*segment, hypothesis))])
            for hypothesis, segment in zip(hypotheses, references, strict=True)
        ],
        paraphrases.between(hypotheses, (text for segment in references for text in segment)),
    )
    counts = np.empty((len(hypotheses), _STATISTICS))
    for row, answer in zip(counts, answers, strict=True):
        try:
            row[:] = np.array(answer.split(), dtype=np.float64).reshape(_STATISTICS)
        except ValueError:
            raise Unavailable(f"METEOR answered {answer[:80]!r} in place of {_STATISTICS} counts") from None
    return counts


def _answers(lines: list[str], paraphrases: bytes) -> list[str]:
    """METEOR's answer to each line of its protocol. Raises Unavailable if Java is missing or fails."""
    with tempfile.TemporaryDirectory() as directory:
        few = Path(directory, "paraphrases.gz")
        few.write_bytes(gzip.compress(paraphrases, 1))
        try:
            asked = "".join(f"{line}\n" for line in lines).encode(errors="replace")
            done = subprocess.run(command(few), input=asked, capture_output=True)
        except OSError as error:
            raise Unavailable(str(error)) from error
    answers = done.stdout.decode().splitlines()
    if done.returncode or len(answers) != len(lines):
        raise java.failure("METEOR", done.returncode, done.stderr)
    return answers


def meteor_of(sums: np.ndarray) -> float:
    """METEOR in [0, 1] of summed statistics, [23].

        METEOR = P R / (alpha P + (1 - alpha) R) * (1 - gamma * (chunks / matches) ^ beta)

    Precision P and recall R are weighted matches over weighted words: a match counts by its module, a content
    word delta, a function word 1 - delta. Terms are added and multiplied in the order of the jar, so that the last
    digit is the jar's, too. Only the power is not of our making: Java's and C's differ in its last digit where the
    exact value is half-way between two doubles, in one sum of thousands.
    """
    counts = sums.tolist()  # plain floats: numpy adds in pairs, not from left to right
    matches = [_weighted_matches(counts, side) for side in _SIDES]
    if not all(matches):
        return 0.0
    precision, recall = (matches[side] / _weighted_words(counts, side) for side in _SIDES)
    mean = 1.0 / ((1.0 - _ALPHA) / precision + _ALPHA / recall)
    fragmentation = counts[_CHUNKS] / (sum(counts[_MATCHED]) / 2)
    return mean * (1.0 - _GAMMA * fragmentation**_BETA)


def _weighted_matches(counts: list[float], side: int) -> float:
    """Those of all modules: content words first, then function words."""
    total = 0.0
    for kind, weight in ((0, _DELTA), (2, 1.0 - _DELTA)):
        matched = counts[_MATCHES][kind + side :: 4]  # a module has content, content, function, function
        for words, module in zip(matched, _MODULES, strict=True):
            total += words * module * weight
    return total


def _weighted_words(counts: list[float], side: int) -> float:
    words, function_words = counts[side], counts[2 + side]
    return _DELTA * (words - function_words) + (1.0 - _DELTA) * function_words
