"""The metrics of DART (Nan et al. 2021), as its run_eval_on_dart.sh prints them.

All text counts as it is: BLEU by case, METEOR and TER without.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from stages.scoring import meteor
from stages.scoring.data_to_text import bleu_meteor_ter
from stages.scoring.encoders import Encoders
from stages.scoring.formats import read_columns
from stages.scoring.metric_set import MetricSet, Scorer
from stages.scoring.scores import Metrics
from stages.scoring.segments import ascii_words, check


def measure(
    hypotheses: list[str], references: list[list[str]], score_meteor: meteor.Meteor, encoders: Encoders
) -> Metrics:
    """BLEU in [0, 100], METEOR and TER in [0, 1] with their counts, then what the encoders give.

    `references[i]` are those of `hypotheses[i]`, an empty one is none. Raises UserError if there is nothing to
    score, if the counts differ, or for a segment without reference.
    """
    hypotheses = [_one_line(text) for text in hypotheses]
    references = [[_one_line(text) for text in segment] for segment in references]
    check(hypotheses, references)
    given = [[text for text in segment if text] for segment in references]
    return bleu_meteor_ter(hypotheses, references, score_meteor) | encoders.measure(hypotheses, given)


def _one_line(text: str) -> str:
    return " ".join(ascii_words(text))


def with_encoders(encoders: Encoders) -> MetricSet:
    """DART's metric set, whose metrics by language models use these."""

    @contextmanager
    def scorer() -> Iterator[Scorer]:
        with meteor.scorer() as score_meteor:
            yield lambda hypotheses, references: measure(hypotheses, references, score_meteor, encoders)

    return MetricSet(read_columns, scorer, with_encoders)


DART = with_encoders(Encoders())
METRIC_SETS = {"dart": DART}
