"""The metrics of SuperGLUE (Wang et al. 2019), one task a dataset, from the official files.

All are in [0, 1], to 4 decimals; the leaderboard prints them times 100 with one. A hypothesis that is no label of
the task, as a text model may write, is wrong and nothing else: it is a miss of its gold class, and no class of its own
(scikit-learn's f1_score would average it as one, unless given `labels`).
"""

import re
import string
from collections import Counter
from functools import partial

import numpy as np

from stages.scoring.metric_set import MetricSet, Scorer, without_programs
from stages.scoring.scores import Metric, Metrics, mean, ratio
from stages.scoring.superglue_files import (
    CHOICE,
    COMMITMENT,
    ENTAILMENT,
    TRUTH,
    Labels,
    read_answers,
    read_labels,
    read_options,
)

DECIMALS = 4

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def accuracy(hypotheses: list[str], references: list[str]) -> Metrics:
    """The share of hypotheses that are their reference."""
    return {"accuracy": mean([mine == gold for mine, gold in zip(hypotheses, references, strict=True)], DECIMALS)}


def accuracy_and_macro_f1(classes: tuple[str, ...], hypotheses: list[str], references: list[str]) -> Metrics:
    """Accuracy, and the mean F1 of those of the classes that occur in hypotheses or references."""
    pair = (hypotheses, references)
    found, wanted = (np.array([[label == name for name in classes] for label in labels]) for labels in pair)
    outcomes = (found & wanted, found & ~wanted, ~found & wanted)  # each [segments, classes]
    counts = np.concatenate(outcomes, axis=1).astype(np.float64)
    return accuracy(hypotheses, references) | {"F1": Metric(counts, _macro_f1, DECIMALS)}


def _macro_f1(sums: np.ndarray) -> float:
    """Of true positives of all classes, then false positives, then false negatives."""
    right, false, missed = sums.reshape(3, -1)
    counted = 2 * right + false + missed
    occurs = counted > 0
    return float(np.mean(2 * right[occurs] / counted[occurs])) if occurs.any() else 0.0


def options(hypotheses: list[list[str]], references: list[list[str]]) -> Metrics:
    """MultiRC's F1a, of the label 1 over all options, and EM, the share of questions without an error.

    A segment is a question, a list of its options' labels. A hypothesis that is no label is no 1.
    """
    counts = []
    for mine, gold in zip(hypotheses, references, strict=True):
        right = sum(a == b == "1" for a, b in zip(mine, gold, strict=True))
        counts.append((2 * right, mine.count("1") + gold.count("1")))
    exact = [mine == gold for mine, gold in zip(hypotheses, references, strict=True)]
    return {"F1a": Metric(np.array(counts, dtype=np.float64), ratio, DECIMALS), "EM": mean(exact, DECIMALS)}


def answers(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """ReCoRD's F1 of words and EM as SQuAD 1.1 counts them, each that of the best of a question's gold answers."""
    f1, exact = [], []
    for mine, golds in zip(hypotheses, references, strict=True):
        words, wanted = _words(mine), [_words(gold) for gold in golds]
        f1.append(max(_word_f1(words, gold) for gold in wanted))
        exact.append(words in wanted)
    return {"F1": mean(f1, DECIMALS), "EM": mean(exact, DECIMALS)}


def _words(text: str) -> list[str]:
    """Lowercase, without ASCII punctuation, without articles: in this order, for `a.` becomes an article."""
    return _ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _word_f1(mine: list[str], gold: list[str]) -> float:
    common = (Counter(mine) & Counter(gold)).total()
    return 2 * common / (len(mine) + len(gold)) if common else 0.0


def _classification(labels: Labels, score: Scorer = accuracy) -> MetricSet:
    return MetricSet(partial(read_labels, labels), without_programs(score))


METRIC_SETS = {
    "superglue/boolq": _classification(TRUTH),
    "superglue/cb": _classification(COMMITMENT, partial(accuracy_and_macro_f1, COMMITMENT.official)),
    "superglue/copa": _classification(CHOICE),
    "superglue/multirc": MetricSet(read_options, without_programs(options)),
    "superglue/record": MetricSet(read_answers, without_programs(answers)),
    "superglue/rte": _classification(ENTAILMENT),
    "superglue/wic": _classification(TRUTH),
    "superglue/wsc": _classification(TRUTH),
}
