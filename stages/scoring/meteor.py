"""METEOR 1.5 (Denkowski & Lavie 2014), English, normalised: matches by the jar in pycocoevalcap.

The jar's program matches words, stems, synonyms and paraphrases; the score of its counts is a formula. The
package's own wrapper of the jar is not used: it waits for ever in `__del__` when Java died.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from stages.scoring import java
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
    One process serves all calls in the block. It begins at once to read its tables, for seconds: what needs
    no METEOR is best computed before the first call. A call raises Unavailable if Java is missing or fails.
    """
    with contextlib.ExitStack() as stack:
        try:
            ask = stack.enter_context(_process())
        except (Unavailable, OSError) as error:  # OSError: Java does not start
            ask = _without_java(str(error))
        yield lambda hypotheses, references: Metric(_count(ask, hypotheses, references), meteor_of)


def _without_java(reason: str) -> Callable[[str], str]:
    def ask(line: str) -> str:
        raise Unavailable(reason)

    return ask


def command() -> list[str]:
    """METEOR as a program that reads and answers lines. Raises Unavailable if Java is missing."""
    from pycocoevalcap.meteor import meteor as package

    jar = Path(package.__file__).with_name(package.METEOR_JAR)
    # Its own table, but named: METEOR finds it by a path that it quotes twice, and not where that has a space.
    table = jar.parent / "data" / "paraphrase-en.gz"
    options = ["-stdio", "-l", "en", "-norm", "-a", str(table)]
    # The parallel collector reads the tables a tenth faster than Java's own choice.
    return [java.find(), "-Xmx2G", "-XX:+UseParallelGC", "-jar", str(jar), "-", "-", *options]


@contextlib.contextmanager
def _process() -> Iterator[Callable[[str], str]]:
    """A running METEOR, as a function from a line of its protocol to the answered line."""
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):

        def ask(line: str) -> str:
            with contextlib.suppress(BrokenPipeError):  # Java is gone: reading finds that out
                process.stdin.write(f"{line}\n".encode(errors="replace"))
                process.stdin.flush()
            answer = process.stdout.readline().decode()
            if not answer:
                status = process.wait()
                stderr.seek(0)
                raise java.failure("METEOR", status, stderr.read())
            return answer.strip()

        try:
            yield ask
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _count(ask: Callable[[str], str], hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    """[segments, 23]: METEOR's statistics of each hypothesis against the reference that fits it best."""
    separator = " ||| "
    counts = np.empty((len(hypotheses), _STATISTICS))
    for row, hypothesis, segment in zip(counts, hypotheses, references, strict=True):
        texts = [text.replace("|||", "| | |") for text in (*segment, hypothesis)]
        answer = ask(separator.join(["SCORE", *texts]))
        try:
            row[:] = np.array(answer.split(), dtype=np.float64).reshape(_STATISTICS)
        except ValueError:
            raise Unavailable(f"METEOR answered {answer[:80]!r} in place of {_STATISTICS} counts") from None
    # The one chunk of a perfect match is no fragment: METEOR does not count it into a sum.
    counts[(counts[:, _MATCHED] == counts[:, :2]).all(axis=1) & (counts[:, _CHUNKS] == 1), _CHUNKS] = 0
    return counts


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
