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
_MODULES = np.array([1.0, 0.6, 0.8, 0.6])
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
# Columns of its statistics behind lengths and function words of hypothesis and reference.
_STATISTICS = 23
_MATCHES, _CHUNKS, _MATCHED = slice(4, 20), 20, slice(21, 23)


@contextlib.contextmanager
def opened() -> Iterator[Meteor]:
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
    """METEOR in [0, 1] of summed statistics.

        METEOR = P R / (alpha P + (1 - alpha) R) * (1 - gamma * (chunks / matches) ^ beta)

    Precision P and recall R are weighted matches over weighted words: a match counts by its module, a content
    word delta, a function word 1 - delta.
    """
    content, function = np.moveaxis(sums[_MATCHES].reshape(4, 2, 2), 1, 0)  # [modules, hypothesis or reference]
    matches = _MODULES @ (_DELTA * content + (1 - _DELTA) * function)
    if not matches.all():
        return 0.0
    lengths, function_words = sums[0:2], sums[2:4]
    precision, recall = matches / (_DELTA * (lengths - function_words) + (1 - _DELTA) * function_words)
    fragmentation = sums[_CHUNKS] / sums[_MATCHED].mean()
    mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
    return float(mean * (1 - _GAMMA * fragmentation**_BETA))
