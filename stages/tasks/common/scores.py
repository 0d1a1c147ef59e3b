"""All numbers of a run: the metrics of its task, of groups apart, and the share of names that are exact."""

import numpy as np

from stages.core.record import Record
from stages.scoring.metric_set import Scorer
from stages.scoring.scores import Metrics, Scores, part
from stages.tasks import Task


def by_group(metrics: Metrics, groups: list[str | None]) -> Metrics:
    """The metrics of all under their names, those of a group with `_` and its name after them."""
    found = dict(metrics)
    for group in sorted(filter(None, set(groups))):
        own = np.array([name == group for name in groups])
        found |= {f"{name}_{group}": part(metric, own) for name, metric in metrics.items()}
    return found


def scores_of(task: Task, scorer: Scorer, hypotheses: list[str], records: list[Record]) -> Scores:
    """All numbers of a run by `scorer`, the task's metric set: of its hypotheses, one of each record."""
    return numbers_of(metrics_of(task, scorer, hypotheses, records), hypotheses, records)


def metrics_of(task: Task, scorer: Scorer, hypotheses: list[str], records: list[Record]) -> Metrics:
    """The metrics of a run by `scorer`, the task's metric set: of all records, and of groups apart."""
    return by_group(scorer(*task.postprocess(hypotheses, records)), [record.group for record in records])


def numbers_of(metrics: Metrics, hypotheses: list[str], records: list[Record]) -> Scores:
    """All numbers of a run, given its metrics (`metrics_of`): those, and the share of names that are exact."""
    scores = Scores.of(metrics)
    named = [r.name in text for text, r in zip(hypotheses, records, strict=True) if r.name]
    exact = {"name_exact": round(sum(named) / len(named), 4)} if named else {}
    return Scores(scores.metrics | exact, scores.reasons)
