"""What `make repro` prints at its end: the scores, some sentences, and where to look next."""

from pathlib import Path
from textwrap import shorten

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_json, read_jsonl
from stages.score import PREDICTIONS

SHOWN = 3
LENGTH = 400  # of a source: an article is long


@entry_point
def main() -> None:
    chosen = params.load()
    scores = read_json(Path("metrics/scores.json"))
    print(f"\n{chosen.method} on {chosen.task}, {chosen.model}")
    reasons = scores.pop("reasons", {})
    width = max(12, *(len(metric) + 2 for metric in scores))
    for metric, value in scores.items():
        print(f"  {metric:<{width}}{f'null: {reasons[metric]}' if metric in reasons else f'{value:.4f}'}")
    for row in read_jsonl(PREDICTIONS)[:SHOWN]:
        print(f"\n  {shorten(row['source'], LENGTH)}\n  -> {row['hypothesis']}")
    print(f"\nAll sentences: {PREDICTIONS}   training curve: metrics/train.png   every choice: params.yaml")
    print(
        "Change one thing: source .venv/bin/activate; dvc exp run -S prefix_len=200; dvc metrics diff; dvc params diff"
    )


if __name__ == "__main__":
    main()
