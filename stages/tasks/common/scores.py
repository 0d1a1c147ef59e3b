"""All numbers of a run: the metrics of its task, of groups apart, and the share of names that are exact."""

import numpy as np

from stages.core.record import Record
from stages.scoring.metric_set import Scorer
from stages.scoring.scores import Metrics, Scores
from stages.tasks import Task


def by_group(metrics: Metrics, groups: list[str | None]) -> Scores:
    """Scores of all under their names, those of a group with `_` and its name after them."""
    found = Scores.of(metrics)
    numbers, reasons = dict(found.metrics), dict(found.reasons)
    for group in sorted(filter(None, set(groups))):
        part = Scores.of(metrics, np.array([name == group for name in groups]))
        numbers |= {f"{name}_{group}": number for name, number in part.metrics.items()}
        reasons |= {f"{name}_{group}": reason for name, reason in part.reasons.items()}
    return Scores(numbers, reasons)


def scores_of(task: Task, scorer: Scorer, hypotheses: list[str], records: list[Record]) -> Scores:
    """All numbers of a run by `scorer`, the task's metric set: of its hypotheses, one of each record."""
    scores = by_group(scorer(*task.postprocess(hypotheses, records)), [r.group for r in records])
    named = [r.name in text for text, r in zip(hypotheses, records, strict=True) if r.name]
    exact = {"name_exact": round(sum(named) / len(named), 4)} if named else {}
    return Scores(scores.metrics | exact, scores.reasons)
