"""`python -m stages.scoring`: score a file of hypotheses as a task's official script does."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from stages.errors import entry_point
from stages.scoring import e2e
from stages.scoring.formats import read_hypotheses, read_references
from stages.scoring.scores import Scores


def score_e2e(hyp: Path, refs: Path) -> Scores:
    return e2e.score(read_hypotheses(hyp), read_references(refs))


TASKS: dict[str, Callable[[Path, Path], Scores]] = {"e2e": score_e2e}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.scoring",
        description="Score hypotheses as the task's official script does and print one JSON object: "
        '{"metrics": {name: number}}. A metric that cannot be computed is null, and "reasons" says why.',
    )
    parser.add_argument("--task", required=True, choices=TASKS, help="which official script's metrics")
    parser.add_argument(
        "--hyp",
        required=True,
        type=Path,
        metavar="FILE",
        help="text, one per line, or .jsonl with key `hypothesis`",
    )
    parser.add_argument(
        "--refs",
        required=True,
        type=Path,
        metavar="FILE",
        help="text, one per line and a blank line between segments (none at all: one per segment), "
        "or the challenge's .csv (mr,ref)",
    )
    return parser.parse_args()


@entry_point
def main() -> None:
    arguments = _arguments()
    scores = TASKS[arguments.task](arguments.hyp, arguments.refs)
    answer = {"metrics": scores.metrics} | ({"reasons": scores.reasons} if scores.reasons else {})
    print(json.dumps(answer, allow_nan=False))


if __name__ == "__main__":
    main()
