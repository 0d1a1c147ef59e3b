"""Stage: the task's official metrics of data/run/predictions.jsonl, into metrics/scores.json.

A metric that cannot be computed is null there, and `reasons` says why.

Beside them stands `name_exact`, no official metric: the share of hypotheses that hold the name of
their restaurant letter by letter.
"""

import sys
from pathlib import Path

from stages import params
from stages.errors import entry_point
from stages.files import read_jsonl, write_json
from stages.tasks import TASKS

PREDICTIONS = Path("data/run/predictions.jsonl")


@entry_point
def main() -> None:
    chosen = params.load()
    rows = read_jsonl(PREDICTIONS)
    scores = TASKS[chosen.task].score([row["hypothesis"] for row in rows], [row["references"] for row in rows])
    metrics, reasons = {**scores.metrics, "name_exact": None}, dict(scores.reasons)
    named = [row for row in rows if row["name"]]
    if named:
        metrics["name_exact"] = round(sum(row["name"] in row["hypothesis"] for row in named) / len(named), 4)
    else:
        reasons["name_exact"] = "no record has a name"
    for metric, reason in reasons.items():
        print(f"{metric} is null: {reason}", file=sys.stderr)
    write_json(Path("metrics/scores.json"), metrics | ({"reasons": reasons} if reasons else {}))


if __name__ == "__main__":
    main()
