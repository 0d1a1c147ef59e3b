"""The metrics of the E2E NLG Challenge, as its measure_scores.py (tuetschek/e2e-metrics) prints them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.scoring import coco, meteor
from stages.scoring.formats import read_groups, read_hypotheses, read_references
from stages.scoring.mteval import bleu
from stages.scoring.nist import nist
from stages.scoring.scores import Metrics, Scores
from stages.scoring.segments import check, collapse
from stages.scoring.tables import SUFFIXES, group_references, read_table
from stages.scoring.task import Measure, Task


def measure(hypotheses: list[str], references: list[list[str]], score_meteor: meteor.Meteor) -> Metrics:
    """BLEU, NIST, METEOR, ROUGE_L and CIDEr, to the 4 decimals of the official script.

    `references[i]` are those of `hypotheses[i]`. White space in a text, line breaks too, counts as one
    space; a blank hypothesis scores 0, a blank reference counts as none. Without Java the last three are
    Unavailable.

    Raises UserError if there is nothing to score, if the counts differ, or for a segment without reference.
    """
    # A line break would put METEOR and the tokenizer, which read lines, out of step.
    hypotheses = [collapse(text) for text in hypotheses]
    references = [[text for text in map(collapse, segment) if text] for segment in references]
    check(hypotheses, references)
    mteval = {"BLEU": bleu(hypotheses, references), "NIST": nist(hypotheses, references)}
    return mteval | coco.measure(hypotheses, references, score_meteor)


@contextmanager
def opened() -> Iterator[Measure]:
    with meteor.opened() as score_meteor:
        yield lambda hypotheses, references: measure(hypotheses, references, score_meteor)


def score(hypotheses: list[str], references: list[list[str]]) -> Scores:
    """The numbers of `measure`."""
    with opened() as measure_system:
        return Scores.of(measure_system(hypotheses, references))


def read(hypotheses: Path, references: list[Path]) -> tuple[list[str], list[list[str]]]:
    """Text, tables or JSON lines, whatever the challenge's script or this project writes. Raises UserError."""
    return _read_hypotheses(hypotheses), _read_references(references)


def _read_hypotheses(path: Path) -> list[str]:
    if path.suffix.lower() in SUFFIXES:
        return [text for _, text in read_table(path)]
    return read_hypotheses(path)


def _read_references(paths: list[Path]) -> list[list[str]]:
    if len(paths) > 1 or paths[0].suffix.lower() == ".jsonl":
        return read_references(paths)
    return group_references(paths[0]) if paths[0].suffix.lower() in SUFFIXES else read_groups(paths[0])


TASK = Task(read, opened)
