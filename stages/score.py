"""Stage: the task's official metrics of data/run/predictions.jsonl, into metrics/scores.json.

Where records have groups, those of each stand beside those of all: BLEU, BLEU_seen, BLEU_unseen. A metric
that cannot be computed is null there, and `reasons` says why. Last comes `name_exact`, no official metric: the
share of hypotheses that hold the name of their record letter by letter, where records have names.
"""

import sys
from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_jsonl, write_json
from stages.core.record import Record
from stages.core.stage_costs import write_stage_cost
from stages.tasks import task_of
from stages.tasks.common.scores import scores_of

PREDICTIONS = Path("data/run/predictions.jsonl")
SCORES = Path("metrics/scores.json")


@entry_point
def main() -> None:
    chosen = params.load()
    rows = read_jsonl(PREDICTIONS)
    records = [Record(row["id"], row["source"], row["references"], row["group"], row["name"]) for row in rows]
    task = task_of(chosen.task)
    with task.metrics.scorer() as scorer:
        scores = scores_of(task, scorer, [row["hypothesis"] for row in rows], records)
    for metric, reason in scores.reasons.items():
        print(f"{metric} is null: {reason}", file=sys.stderr)
    write_json(SCORES, scores.metrics | ({"reasons": scores.reasons} if scores.reasons else {}))
    write_stage_cost("score", SCORES)


if __name__ == "__main__":
    main()
