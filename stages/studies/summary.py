"""Stage: what a study came to, as metrics/<study>.json (means and deviations), a table and a picture."""

import sys
from pathlib import Path

from stages import params
from stages.errors import UserError, entry_point
from stages.files import write_json, write_text
from stages.studies.figures import Results, draw
from stages.studies.grid import cells_of, size_name
from stages.studies.paper import STUDIES
from stages.studies.results import scores_of, votes_of
from stages.studies.shown import metrics_of

METRICS_DIRECTORY = Path("metrics")


def numbers(results: Results) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """By variant, size and metric: the mean under the metric's name, the standard deviation with `_sd` behind it.

    Where runs can vote, also the best run's number, `_best`, and that of the votes, `_ensemble`.
    """
    found: dict = {}
    for cell, scores in results:
        own = found.setdefault(cell.variant, {})[size_name(cell.size)] = {"runs": len(cell.runs)}
        for metric, spread in scores.items():
            own[metric] = round(spread.mean, 4)
            own[f"{metric}_sd"] = None if spread.deviation is None else round(spread.deviation, 4)
        for metric, number in votes_of(cell).items():
            if metric in scores:
                own[f"{metric}_best"], own[f"{metric}_ensemble"] = scores[metric].best, number
    return found


def table(results: Results, metric: str) -> str:
    """CSV for `dvc plots`: a row for each size, a column for each variant."""
    variants, sizes = (list(dict.fromkeys(getattr(cell, key) for cell, _ in results)) for key in ("variant", "size"))
    means = {(cell.variant, cell.size): scores[metric].mean for cell, scores in results}
    rows = [",".join([str(size), *(f"{means[variant, size]:.4f}" for variant in variants)]) for size in sizes]
    return "\n".join([",".join(["size", *variants]), *rows]) + "\n"


@entry_point
def main() -> None:
    [study] = sys.argv[1:]
    cells = cells_of(params.read(), study)
    results = [(cell, scores_of(cell)) for cell in cells]
    computed = set.intersection(*(set(scores) for _, scores in results))
    metrics = metrics_of(cells[0].first.original, computed)
    if not metrics:
        raise UserError(f"{cells[0].out}/runs.jsonl: no metric that is shown could be computed; its reasons say why")
    write_json(METRICS_DIRECTORY / f"{study}.json", numbers(results))
    write_text(METRICS_DIRECTORY / f"{study}.csv", table(results, metrics[0]))
    draw(METRICS_DIRECTORY / f"{study}.png", STUDIES[study].how, results, metrics, STUDIES[study].title)


if __name__ == "__main__":
    main()
