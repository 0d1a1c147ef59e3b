"""Stage: the task's official metrics of data/run/predictions.jsonl, into metrics/scores.json.

Where records have groups, those of each stand beside those of all: BLEU, BLEU_seen, BLEU_unseen. A metric
that cannot be computed is null there, and `reasons` says why. Last comes `name_exact`, no official metric: the
share of hypotheses that hold the name of their record letter by letter, where records have names.
"""

import sys
from pathlib import Path

import numpy as np

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_jsonl, write_json
from stages.core.record import Record
from stages.scoring.metric_set import Scorer
from stages.scoring.scores import Metrics, Scores
from stages.tasks import task_of

PREDICTIONS = Path("data/run/predictions.jsonl")


def by_group(metrics: Metrics, groups: list[str | None]) -> Scores:
    """Scores of all under their names, those of a group with `_` and its name behind."""
    found = Scores.of(metrics)
    numbers, reasons = dict(found.metrics), dict(found.reasons)
    for group in sorted(filter(None, set(groups))):
        part = Scores.of(metrics, np.array([name == group for name in groups]))
        numbers |= {f"{name}_{group}": number for name, number in part.metrics.items()}
        reasons |= {f"{name}_{group}": reason for name, reason in part.reasons.items()}
    return Scores(numbers, reasons)


def scores_of(task: str, scorer: Scorer, hypotheses: list[str], records: list[Record]) -> Scores:
    """All numbers of a run by `scorer`, the task's metric set: of its hypotheses, one of each record."""
    scores = by_group(scorer(*task_of(task).postprocess(hypotheses, records)), [r.group for r in records])
    named = [r.name in text for text, r in zip(hypotheses, records, strict=True) if r.name]
    exact = {"name_exact": round(sum(named) / len(named), 4)} if named else {}
    return Scores(scores.metrics | exact, scores.reasons)


@entry_point
def main() -> None:
    chosen = params.load()
    rows = read_jsonl(PREDICTIONS)
    records = [Record(row["id"], row["source"], row["references"], row["group"], row["name"]) for row in rows]
    with task_of(chosen.task).metrics.scorer() as scorer:
        scores = scores_of(chosen.task, scorer, [row["hypothesis"] for row in rows], records)
    for metric, reason in scores.reasons.items():
        print(f"{metric} is null: {reason}", file=sys.stderr)
    write_json(Path("metrics/scores.json"), scores.metrics | ({"reasons": scores.reasons} if scores.reasons else {}))


if __name__ == "__main__":
    main()
