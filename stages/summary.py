"""What `make repro` prints at its end: the scores, some sentences, and where to look next."""

import json
from pathlib import Path

from stages import params
from stages.errors import entry_point
from stages.files import read_jsonl, read_text
from stages.score import PREDICTIONS

SHOWN = 3


@entry_point
def main() -> None:
    chosen = params.load()
    scores = json.loads(read_text(Path("metrics/scores.json")))
    print(f"\n{chosen.method} on {chosen.task}, {chosen.model}")
    reasons = scores.pop("reasons", {})
    for metric, value in scores.items():
        print(f"  {metric:<12}{f'null: {reasons[metric]}' if metric in reasons else f'{value:.4f}'}")
    for row in read_jsonl(PREDICTIONS)[:SHOWN]:
        print(f"\n  {row['source']}\n  -> {row['hypothesis']}")
    print(f"\nAll sentences: {PREDICTIONS}   training curve: metrics/train.png   every choice: params.yaml")
    print(
        "Change one thing: source .venv/bin/activate; dvc exp run -S prefix_len=200; dvc metrics diff; dvc params diff"
    )


if __name__ == "__main__":
    main()
