"""Stage: the results of a study as studies/metrics/<study>.json (means and deviations), tables and a picture."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, write_json, write_text
from stages.studies.cost_table import costs_csv, file_of
from stages.studies.figures import PLOTS, Results, draw
from stages.studies.plan import METRICS, SETTINGS, plans_in, size_name
from stages.studies.results import ahead, scores_of, tests_of, votes_of


def numbers(results: Results, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The content of the metrics file: for each variant its model and task, and for each size these numbers:

    - `runs`: the number of runs; `settings`: the digest of the cell's parameters, from `digests`;
    - `<metric>`: mean over the runs; `<metric>_sd`: standard deviation;
    - `<metric>_behind` and `_behind_se`, with several runs: first variant minus this one, and the standard error;
    - `<metric>_behind_p`: the p-value of a paired test of the two on all their outputs;
    - `<metric>_best` and `_ensemble`, if the runs vote: the best run's value and that of the majority vote.
    """
    found: dict = {}
    first = {cell.size: scores for cell, scores in results if cell.variant == results[0][0].variant}
    for cell, scores in results:
        of = found.setdefault(cell.variant, {"model": cell.model, "task": cell.task})
        own = of[size_name(cell.size)] = {"runs": len(cell.runs), "settings": digests[cell.name]}
        tests = tests_of(cell)
        for metric, spread in scores.items():
            own[metric] = round(spread.mean, 4)
            own[f"{metric}_sd"] = None if spread.deviation is None else round(spread.deviation, 4)
            leader = first[cell.size].get(metric)
            if leader is not None and leader is not spread and (gap := ahead(leader, spread)):
                own[f"{metric}_behind"], own[f"{metric}_behind_se"] = (round(number, 4) for number in gap)
            if metric in tests:
                own[f"{metric}_behind_p"] = round(tests[metric], 4)
        for metric, number in votes_of(cell).items():
            if metric in scores:
                own[f"{metric}_best"], own[f"{metric}_ensemble"] = scores[metric].best, number
    return found


def table(results: Results, metrics: Sequence[str]) -> str:
    """A CSV table for `dvc plots`, a row for each metric and cell. `low`, `high`: mean -/+ standard deviation."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["metric", "variant", "size", "prefix_len", "mean", "low", "high"])
    for metric in metrics:
        for cell, scores in results:
            mean, deviation = scores[metric].mean, scores[metric].deviation or 0.0
            spread = [f"{number:.4f}" for number in (mean, mean - deviation, mean + deviation)]
            lines.writerow([metric, cell.variant, cell.size, cell.prefix_len, *spread])
    return text.getvalue()


@entry_point
def main() -> None:
    [study] = sys.argv[1:]
    settings = SETTINGS / "summary" / f"{study}.json"
    figure, shown, digests = (read_json(settings)[key] for key in ("figure", "metrics", "digests"))
    results = [(plan, scores_of(plan)) for plan in plans_in(settings)]
    computed = set.intersection(*(set(scores) for _, scores in results))
    metrics = [metric for metric in shown if metric in computed]
    if not metrics:
        raise UserError(
            f"{results[0][0].scores}/runs.jsonl: no metric that is shown could be computed; its reasons say why"
        )
    file = METRICS / f"{study}.json"
    write_json(file, numbers(results, digests))
    write_text(file_of(file), costs_csv(results, metrics))
    write_text(METRICS / f"{study}.csv", table(results, metrics))
    draw(METRICS / f"{study}.png", PLOTS[figure["x"]], results, metrics, figure["title"])


if __name__ == "__main__":
    main()
