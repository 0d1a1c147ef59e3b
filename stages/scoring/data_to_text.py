"""BLEU, METEOR and TER of the data-to-text benchmarks WebNLG and DART, which share their organisers' scripts."""

from concurrent.futures import ThreadPoolExecutor

from stages.scoring.meteor import Meteor
from stages.scoring.multibleu import multibleu
from stages.scoring.scores import Metrics, attempt
from stages.scoring.ter import ter

METRICS = ("BLEU", "hyp_len", "ref_len", "METEOR", "TER", "TER_edits", "TER_ref_words")


def bleu_meteor_ter(hypotheses: list[str], references: list[list[str]], meteor: Meteor) -> Metrics:
    """BLEU in [0, 100], METEOR and TER in [0, 1], with the counts that BLEU and TER are made of.

    `references[i]` are those of `hypotheses[i]`. An empty one is none for METEOR and TER, but one of length 0
    for BLEU. No text holds a line break. Without Java METEOR is Unavailable.
    """
    given = [[text for text in segment if text] for segment in references]
    with ThreadPoolExecutor(1) as other:
        counted = other.submit(meteor, hypotheses, given)  # Java does that meanwhile
        scored = multibleu(hypotheses, references) | ter(hypotheses, given) | attempt("METEOR", counted.result)
    return {name: scored[name] for name in METRICS}
