"""The metrics of the E2E NLG Challenge, as its measure_scores.py (tuetschek/e2e-metrics) prints them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring import coco, meteor
from stages.scoring.formats import HYPOTHESIS, REFERENCES, read_groups, read_hypotheses, read_references
from stages.scoring.metric_set import MetricSet, Scorer
from stages.scoring.mteval import bleu
from stages.scoring.nist import nist
from stages.scoring.pairing import Listing, paired
from stages.scoring.records import holds_records
from stages.scoring.scores import Metrics, Scores
from stages.scoring.segments import check, collapse
from stages.scoring.tables import MR, is_table, once, read_outputs, read_table_references


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
    with ThreadPoolExecutor(1) as other:
        of_coco = other.submit(coco.measure, hypotheses, references, score_meteor)  # Java does most of that meanwhile
        mteval = {"BLEU": bleu(hypotheses, references), "NIST": nist(hypotheses, references)}
        return mteval | of_coco.result()


@contextmanager
def scorer() -> Iterator[Scorer]:
    with meteor.scorer() as score_meteor:
        yield lambda hypotheses, references: measure(hypotheses, references, score_meteor)


def score(hypotheses: list[str], references: list[list[str]]) -> Scores:
    """The numbers of `measure`."""
    with scorer() as score_system:
        return Scores.of(score_system(hypotheses, references))


def read(hypotheses: TextFile, references: list[TextFile]) -> tuple[list[str], list[list[str]]]:
    """Text, tables or JSON records, whatever the challenge's script or this project writes, in the references' order.

    Tables of both are paired by MR, records of both by `id` where they have it, others by their order. Raises UserError.
    """
    outputs, wanted = _read_hypotheses(hypotheses), _read_references(references)
    return paired(once(outputs) if outputs.kind == wanted.kind == MR else outputs, wanted)


def _read_hypotheses(file: TextFile) -> Listing:
    return read_outputs(file) if _is_table(file, HYPOTHESIS) else read_hypotheses(file)


def _read_references(files: list[TextFile]) -> Listing:
    tables = [_is_table(file, REFERENCES) for file in files]
    if all(tables):
        return read_table_references(files)
    if any(tables):
        table, other = files[tables.index(True)], files[tables.index(False)]
        raise UserError(f"{table} is a table and {other} is none: references are tables, or none of them is")
    if len(files) > 1 or holds_records(files[0], REFERENCES):
        return read_references(files)
    return read_groups(files[0])


def _is_table(file: TextFile, key: str) -> bool:
    return not holds_records(file, key) and is_table(file)


E2E = MetricSet(read, scorer)
METRIC_SETS = {"e2e": E2E}
