"""Entity precision, recall and F1 as conlleval counts them (Tjong Kim Sang & De Meulder 2003).

An entity is right if its first token, its last token and its type are. Tags are O, B-TYPE and I-TYPE, or B and I
without types; IOB1, IOB2 and ill-formed sequences (an I after O or after another type begins an entity) are
read alike. Precision, recall and F1 are in [0, 1], to 4 decimals; conlleval prints them times 100 with 2.

seqeval finds the entities. On 500,000 pairs of random sequences of these tags, with hyphens in types and types left
empty, its counts were those of conlleval.pl's own loop (version 2004-01-26). They differ for what the reader refuses:
the tags E and S, longer prefixes, lower case. Two type names are read otherwise: seqeval takes `B-_` for an untyped
`B`, and conlleval.pl takes `B-0` for one.
"""

import re
from dataclasses import dataclass

import numpy as np

from stages.core.columns import columns_of
from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.metric_set import MetricSet, without_programs
from stages.scoring.scores import Metric, Metrics, ratio

DECIMALS = 4

_TAG = re.compile(r"O|[BI](-.*)?")


@dataclass
class _Sentence:
    line: int  # of its first token
    tags: list[str]


def measure(hypotheses: list[list[str]], references: list[list[str]]) -> Metrics:
    """precision, recall and F1 in [0, 1] of sentences, each a list of tags; 0 where there is no entity.

    `references[i]` are the tags of the same tokens as `hypotheses[i]`.
    """
    from seqeval.metrics.sequence_labeling import get_entities  # here, for it takes 2 s: it imports scikit-learn

    counts = np.zeros((len(references), 3))  # entities that are right, predicted, gold
    for row, predicted, gold in zip(counts, hypotheses, references, strict=True):
        found, wanted = set(get_entities(predicted)), set(get_entities(gold))
        row[:] = len(found & wanted), len(found), len(wanted)
    right, predicted, gold = counts.T
    shares = {"precision": (right, predicted), "recall": (right, gold), "F1": (2 * right, predicted + gold)}
    return {name: Metric(np.stack(share, axis=1), ratio, DECIMALS) for name, share in shares.items()}


def read(hypotheses: TextFile, references: list[TextFile]) -> tuple[list[list[str]], list[list[str]]]:
    """The tags of each sentence, the last of a line's columns, which white space sets apart.

    A blank line or one of -DOCSTART- ends a sentence. Hypotheses may be the tags alone. Raises UserError for
    other tags than conlleval's, and where the files' sentences or their tokens are not equally many.
    """
    if len(references) != 1:
        raise UserError(f"CoNLL's gold tags are one file, not {len(references)}: {', '.join(map(str, references))}")
    [gold] = references
    found, wanted = _read_sentences(hypotheses), _read_sentences(gold)
    for mine, theirs in zip(found, wanted, strict=False):
        if len(mine.tags) != len(theirs.tags):
            raise UserError(
                f"{hypotheses}, line {mine.line}: a sentence of {len(mine.tags)} tokens, but it has "
                f"{len(theirs.tags)} in {gold}, line {theirs.line}"
            )
    if len(found) != len(wanted):
        raise UserError(f"{hypotheses} has {len(found)} sentences, but {gold} has {len(wanted)}")
    if not wanted:
        raise UserError(f"{gold}: no sentence; a line is a token and its tag, a blank line ends a sentence")
    return [sentence.tags for sentence in found], [sentence.tags for sentence in wanted]


def _read_sentences(file: TextFile) -> list[_Sentence]:
    sentences = []
    for sentence in columns_of(file):
        for number, columns in sentence:
            if not _TAG.fullmatch(columns[-1]):
                raise UserError(f"{file}, line {number}: the tag {columns[-1]!r} is neither O nor B-TYPE nor I-TYPE")
        sentences.append(_Sentence(sentence[0][0], [columns[-1] for _, columns in sentence]))
    return sentences


CONLL = MetricSet(read, without_programs(measure))
METRIC_SETS = {"conll2003": CONLL}
