"""The metrics of the WebNLG challenge 2017, as its organisers' scripts print them.

The scripts prepare all text before they count: lowercase, in ASCII letters, punctuation apart. They do so with
references in another order than with hypotheses, and the order matters: `…` becomes one token of a reference
and three of a hypothesis.

ASCII letters are those of Unidecode, which the scripts call. No other package has the same ones: text-unidecode, its
older tables under another licence, makes `[?]` of `−` (U+2212) and of thousands of other characters. Unidecode is
GPL, so it is not among the requirements of this MIT project: the extra `webnlg` installs it, and without it only
texts that are ASCII already are scored.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from stages.core.tokens import tokenize_words
from stages.scoring import meteor
from stages.scoring.data_to_text import METRICS, bleu_meteor_ter
from stages.scoring.formats import read_columns
from stages.scoring.metric_set import MetricSet, Scorer
from stages.scoring.scores import Metrics, Unavailable
from stages.scoring.segments import check

REFERENCES = 3  # the scripts take the first three of an entry


def to_ascii(text: str) -> str:
    """The text in ASCII letters, as Unidecode writes it. Raises Unavailable if that needs Unidecode and it is missing."""
    if text.isascii():
        return text
    try:
        from unidecode import unidecode
    except ImportError:
        letter = next(letter for letter in text if not letter.isascii())
        raise Unavailable(
            f"{letter!r} (U+{ord(letter):04X}) is not ASCII, and only Unidecode writes it as the official scripts do: "
            "pip install Unidecode"
        ) from None
    return unidecode(text)


def prepare_hypothesis(text: str) -> str:
    return tokenize_words(to_ascii(to_ascii(text.strip()).lower()))


def prepare_reference(text: str) -> str:
    # The scripts' Python 2 makes a plain i of `İ`, where ours adds a dot that would become a token.
    return to_ascii(tokenize_words(text.replace("İ", "i").lower()))


def measure(hypotheses: list[str], references: list[list[str]], score_meteor: meteor.Meteor) -> Metrics:
    """BLEU in [0, 100], METEOR and TER in [0, 1], with the counts that BLEU and TER are made of.

    `references[i]` are those of `hypotheses[i]`, as submitted and as published; the first three count. All are
    Unavailable if a text needs Unidecode and it is missing.
    Raises UserError if there is nothing to score, if the counts differ, or for a segment without reference.
    """
    check(hypotheses, references)
    try:
        prepared = list(_prepare(hypotheses, references))
    except Unavailable as error:
        return dict.fromkeys(METRICS, error)
    hypotheses, references = map(list, zip(*prepared, strict=True))
    check(hypotheses, references)  # again: a reference of emoji alone is empty now
    return bleu_meteor_ter(hypotheses, references, score_meteor)


def _prepare(hypotheses: list[str], references: list[list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Hypothesis and references of each segment. Raises Unavailable that names the segment."""
    for number, (text, segment) in enumerate(zip(hypotheses, references, strict=True), start=1):
        try:
            # What transliteration puts in capitals (the pound sign is PS) is lowercased by all three metrics.
            prepared = [prepare_reference(reference).lower() for reference in segment[:REFERENCES]]
            hypothesis = prepare_hypothesis(text)
        except Unavailable as error:
            raise Unavailable(f"segment {number}: {error}") from error
        yield hypothesis, prepared


@contextmanager
def scorer() -> Iterator[Scorer]:
    with meteor.scorer() as score_meteor:
        yield lambda hypotheses, references: measure(hypotheses, references, score_meteor)


WEBNLG = MetricSet(read_columns, scorer)
METRIC_SETS = {"webnlg": WEBNLG}
