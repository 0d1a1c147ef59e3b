"""Precision, recall and F1 of named entities, as conlleval of the CoNLL shared tasks counts them.

An entity is right if its type, first and last word are. seqeval finds the entities: over 400,000 random tag
sequences, well and ill formed, its default mode finds those of conlleval's rules.
"""

from pathlib import Path

import numpy as np

from stages.errors import UserError
from stages.scoring.formats import lines_of
from stages.scoring.scores import Metric, Metrics
from stages.scoring.task import Task, without_programs

DECIMALS = 4

Tags = list[str]


def read(hypotheses: Path, references: list[Path]) -> tuple[list[Tags], list[Tags]]:
    """Tags by sentence, the last column of each line; one blank line or more ends a sentence.

    Raises UserError, also where a sentence has another number of tags in the two files.
    """
    if len(references) > 1:
        raise UserError(f"{references[1]}: conll2003 takes one file of references")
    found, gold = _sentences(hypotheses), _sentences(references[0])
    for (line, tags), (gold_line, gold_tags) in zip(found, gold, strict=False):
        if len(tags) != len(gold_tags):
            raise UserError(
                f"{hypotheses}, line {line}: a sentence of {len(tags)} tags, "
                f"but of {len(gold_tags)} in {references[0]}, line {gold_line}"
            )
    return [tags for _, tags in found], [tags for _, tags in gold]


def _sentences(path: Path) -> list[tuple[int, Tags]]:
    """The number of the first line and the tags of each sentence; -DOCSTART- lines are none."""
    sentences: list[tuple[int, Tags]] = []
    inside = False
    for number, line in enumerate(lines_of(path), start=1):
        columns = line.split()
        if not columns or columns[0] == "-DOCSTART-":
            inside = False
            continue
        if columns[-1] != "O" and columns[-1][0] not in "BI":
            raise UserError(f"{path}, line {number}: the tag must be O, B-type or I-type, not {columns[-1]}")
        if not inside:
            sentences.append((number, []))
        sentences[-1][1].append(columns[-1])
        inside = True
    return sentences


def measure(hypotheses: list[Tags], references: list[Tags]) -> Metrics:
    """precision, recall and F1 in [0, 1] over all entities. Raises UserError if there is no sentence."""
    if not references:
        raise UserError("there is no sentence to score")
    from seqeval.metrics.sequence_labeling import get_entities

    counts = np.empty((len(references), 3))  # of each sentence: entities right, found and in the references
    for row, tags, gold in zip(counts, hypotheses, references, strict=True):
        found, true = set(get_entities(tags)), set(get_entities(gold))
        row[:] = len(found & true), len(found), len(true)
    return {
        "precision": Metric(counts, lambda sums: _part(sums[0], sums[1]), DECIMALS),
        "recall": Metric(counts, lambda sums: _part(sums[0], sums[2]), DECIMALS),
        "F1": Metric(counts, lambda sums: _part(2 * sums[0], sums[1] + sums[2]), DECIMALS),
    }


def _part(some: float, all: float) -> float:
    return some / all if all else 0.0


TASK = Task(read, without_programs(measure))
