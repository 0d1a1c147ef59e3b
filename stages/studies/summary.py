"""Stage: what a study came to, as metrics/<study>.json (means and deviations), a table and a picture."""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import write_json, write_text
from stages.studies.figures import Results, draw, length_of
from stages.studies.grid import cells_of, size_name
from stages.studies.paper import shown_of
from stages.studies.results import ahead, scores_of, votes_of
from stages.studies.shown import metrics_of

METRICS_DIRECTORY = Path("metrics")


def numbers(results: Results) -> dict[str, dict[str, Any]]:
    """By variant its model and task, and by size and metric: the mean under the metric's name, the standard deviation
    with `_sd` behind it.

    Where there are several subsets, also by how much the first variant is above this one, `_behind`, with its standard
    error, `_behind_se`; where runs can vote, the best run's number, `_best`, and that of the votes, `_ensemble`.
    """
    found: dict = {}
    first = {cell.size: scores for cell, scores in results if cell.variant == results[0][0].variant}
    for cell, scores in results:
        of = found.setdefault(cell.variant, {"model": cell.first.model, "task": cell.first.task})
        own = of[size_name(cell.size)] = {"runs": len(cell.runs)}
        for metric, spread in scores.items():
            own[metric] = round(spread.mean, 4)
            own[f"{metric}_sd"] = None if spread.deviation is None else round(spread.deviation, 4)
            leader = first[cell.size].get(metric)
            if leader is not None and leader is not spread and (gap := ahead(leader, spread)):
                own[f"{metric}_behind"], own[f"{metric}_behind_se"] = (round(number, 4) for number in gap)
        for metric, number in votes_of(cell).items():
            if metric in scores:
                own[f"{metric}_best"], own[f"{metric}_ensemble"] = scores[metric].best, number
    return found


def table(results: Results, metrics: Sequence[str]) -> str:
    """CSV for `dvc plots` and for data frames: a row for each metric and cell."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["metric", "variant", "size", "prefix_len", "mean", "low", "high"])
    for metric in metrics:
        for cell, scores in results:
            mean, deviation = scores[metric].mean, scores[metric].deviation or 0.0
            spread = [f"{number:.4f}" for number in (mean, mean - deviation, mean + deviation)]
            lines.writerow([metric, cell.variant, cell.size, length_of(cell), *spread])
    return text.getvalue()


@entry_point
def main() -> None:
    [study] = sys.argv[1:]
    cells = cells_of(params.read(), study)
    results = [(cell, scores_of(cell)) for cell in cells]
    computed = set.intersection(*(set(scores) for _, scores in results))
    metrics = metrics_of(cells[0].first.task, computed)
    if not metrics:
        raise UserError(f"{cells[0].out}/runs.jsonl: no metric that is shown could be computed; its reasons say why")
    write_json(METRICS_DIRECTORY / f"{study}.json", numbers(results))
    write_text(METRICS_DIRECTORY / f"{study}.csv", table(results, metrics))
    shown = shown_of(study)
    draw(METRICS_DIRECTORY / f"{study}.png", shown.how, results, metrics, shown.title)


if __name__ == "__main__":
    main()
