"""What `make repro` prints at its end: the scores, some sentences, what each stage cost, and where to look next."""

from pathlib import Path
from textwrap import shorten

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_json, read_jsonl
from stages.core.stage_costs import read_stage_cost
from stages.methods.parts.given import RUN
from stages.score import PREDICTIONS, SCORES
from stages.subsample import OUT as TRAIN

SHOWN = 3
LENGTH = 400  # of a source: an article is long


def costs_table(task: str) -> str:
    """The costs of the stages, one a line. A dash: the stage's product is of a run whose costs are not known here."""
    products = {
        "download": Path("data/raw") / task, "linearize": Path("data/linearized") / task, "subsample": TRAIN,
        "train": RUN, "decode": PREDICTIONS, "score": SCORES,
    }  # fmt: skip
    costs = {stage: read_stage_cost(stage, product) for stage, product in products.items()}
    rows = [f"  {'stage':<12}{'seconds':>9}{'CPU seconds':>13}{'peak MB':>9}"]
    for stage, cost in costs.items():
        numbers = ["-"] * 3
        if cost is not None:
            numbers = [f"{cost.seconds:.1f}", f"{cost.core_seconds:.1f}", f"{cost.peak_mb:.0f}"]
        rows.append("  {:<12}{:>9}{:>13}{:>9}".format(stage, *numbers))
    if None in costs.values():
        rows.append("  -: not run now: its output was there already, or in DVC's cache")
    return "\n".join(rows)


@entry_point
def main() -> None:
    chosen = params.load()
    scores = read_json(SCORES)
    print(f"\n{chosen.method} on {chosen.task}, {chosen.model}")
    reasons = scores.pop("reasons", {})
    width = max(12, *(len(metric) + 2 for metric in scores))
    for metric, value in scores.items():
        print(f"  {metric:<{width}}{f'null: {reasons[metric]}' if metric in reasons else f'{value:.4f}'}")
    for row in read_jsonl(PREDICTIONS)[:SHOWN]:
        print(f"\n  {shorten(row['source'], LENGTH)}\n  -> {row['hypothesis']}")
    print(f"\n{costs_table(chosen.task)}")
    print(f"\nAll sentences: {PREDICTIONS}   training curve: metrics/train.png   every choice: params.yaml")
    print(
        "Change one thing: source .venv/bin/activate; dvc exp run -S prefix_len=200; dvc metrics diff; dvc params diff"
    )


if __name__ == "__main__":
    main()
