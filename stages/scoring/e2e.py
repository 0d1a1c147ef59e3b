"""The metrics of the E2E NLG Challenge, as its measure_scores.py (tuetschek/e2e-metrics) prints them."""

from stages.errors import UserError
from stages.scoring import coco
from stages.scoring.mteval import bleu
from stages.scoring.nist import nist
from stages.scoring.scores import Scores

DECIMALS = 4


def score(hypotheses: list[str], references: list[list[str]]) -> Scores:
    """BLEU, NIST, METEOR, ROUGE_L and CIDEr, to the 4 decimals of the official script.

    `references[i]` are those of `hypotheses[i]`. White space in a text, line breaks too, counts as one
    space; a blank hypothesis scores 0, a blank reference counts as none. Without Java the last three are
    None with a reason.

    Raises UserError if there is nothing to score, if the counts differ, or for a segment without reference.
    """
    # A line break would put METEOR and the tokenizer, which read lines, out of step.
    hypotheses = [_collapse(text) for text in hypotheses]
    references = [[text for text in map(_collapse, segment) if text] for segment in references]
    _check(hypotheses, references)
    string_metrics = Scores({"BLEU": bleu(hypotheses, references), "NIST": nist(hypotheses, references)})
    return (string_metrics | coco.score(hypotheses, references)).rounded(DECIMALS)


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _check(hypotheses: list[str], references: list[list[str]]) -> None:
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} hypotheses, but references for {len(references)} segments")
    if not hypotheses:
        raise UserError("there is no hypothesis to score")
    for number, segment in enumerate(references, start=1):
        if not segment:
            raise UserError(f"segment {number} has no reference")
