"""The metrics of the WebNLG challenge 2017, as its organisers' scripts print them.

The scripts prepare all text before they count: lowercase, in ASCII letters, punctuation apart. They do so with
references in another order than with hypotheses, and the order matters: `…` becomes one token of a reference
and three of a hypothesis.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from text_unidecode import unidecode

from stages.scoring import meteor
from stages.scoring.data_to_text import bleu_meteor_ter
from stages.scoring.formats import read_columns
from stages.scoring.scores import Metrics
from stages.scoring.segments import check, collapse
from stages.scoring.task import Measure, Task

REFERENCES = 3  # the scripts take the first three of an entry

_NO_LETTER = re.compile(r"(\W)")


def set_apart(text: str) -> str:
    """All but letters, digits and underscores apart, one space between tokens."""
    return collapse(_NO_LETTER.sub(r" \1 ", text))


def prepare_hypothesis(text: str) -> str:
    return set_apart(unidecode(unidecode(text.strip()).lower()))


def prepare_reference(text: str) -> str:
    # The scripts' Python 2 makes a plain i of `İ`, where ours adds a dot that would become a token.
    return unidecode(set_apart(text.replace("İ", "i").lower()))


def measure(hypotheses: list[str], references: list[list[str]], score_meteor: meteor.Meteor) -> Metrics:
    """BLEU in [0, 100], METEOR and TER in [0, 1], with the counts that BLEU and TER are made of.

    `references[i]` are those of `hypotheses[i]`, as submitted and as published; the first three count.
    Raises UserError if there is nothing to score, if the counts differ, or for a segment without reference.
    """
    hypotheses = [prepare_hypothesis(text) for text in hypotheses]
    # What transliteration puts in capitals (the pound sign is PS) is lowercased by all three metrics.
    references = [[prepare_reference(text).lower() for text in segment[:REFERENCES]] for segment in references]
    check(hypotheses, references)
    return bleu_meteor_ter(hypotheses, references, score_meteor)


@contextmanager
def opened() -> Iterator[Measure]:
    with meteor.opened() as score_meteor:
        yield lambda hypotheses, references: measure(hypotheses, references, score_meteor)


TASK = Task(read_columns, opened)
