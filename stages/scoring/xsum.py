"""ROUGE-1, ROUGE-2 and ROUGE-L of XSum by rouge-score, with the Porter stemmer: the mean F1 of the summaries.

Its numbers are within 0.0003 of those of the Perl script ROUGE-1.5.5 (`-c 95 -r 1000 -n 2 -a -m`), which
prints the mean of bootstrap resamples.
"""

from stages.core.errors import UserError
from stages.scoring.formats import read_columns
from stages.scoring.metric_set import MetricSet, without_programs
from stages.scoring.scores import Metrics, mean
from stages.scoring.segments import check, collapse

METRICS = ("rouge1", "rouge2", "rougeL")
DECIMALS = 4


def measure(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """rouge1, rouge2 and rougeL in [0, 1], to 4 decimals. `references[i]` is the one of `hypotheses[i]`.

    Raises UserError if there is nothing to score, if the counts differ, or for a segment without reference
    or with several.
    """
    from rouge_score.rouge_scorer import RougeScorer

    references = [[text for text in map(collapse, segment) if text] for segment in references]
    check(hypotheses, references)
    for number, segment in enumerate(references, start=1):
        if len(segment) > 1:
            raise UserError(f"segment {number} has {len(segment)} references; ROUGE of XSum takes one")
    scorer = RougeScorer(METRICS, use_stemmer=True)
    scores = [
        scorer.score(reference, hypothesis) for hypothesis, [reference] in zip(hypotheses, references, strict=True)
    ]
    return {name: mean([score[name].fmeasure for score in scores], DECIMALS) for name in METRICS}


XSUM = MetricSet(read_columns, without_programs(measure))
METRIC_SETS = {"xsum": XSUM}
