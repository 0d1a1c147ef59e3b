"""All studies that have been run, as metrics/report.md: figures and tables, beside what the paper publishes.

python -m stages.studies.report
"""

import json
from pathlib import Path

from stages import params
from stages.errors import entry_point
from stages.files import read_text, write_text
from stages.studies.grid import Cell, cells_of, size_name
from stages.studies.paper import STUDIES
from stages.studies.shown import metrics_of
from stages.studies.summary import METRICS_DIRECTORY

OUT = METRICS_DIRECTORY / "report.md"


def rows(cells: list[Cell], found: dict) -> list[str]:
    """A table row for each cell: mean ± deviation of the metrics that the study shows."""
    known = {metric for variant in found.values() for own in variant.values() for metric in own}
    metrics = metrics_of(cells[0].first.original, known)
    lines = [f"| variant | examples | runs | {' | '.join(metrics)} |", f"|---|---:|---:|{'---:|' * len(metrics)}"]
    for cell in cells:
        own = found.get(cell.variant, {}).get(size_name(cell.size))
        if own is None:
            lines.append(f"| {cell.variant} | {cell.size} | not run |{' |' * len(metrics)}")
            continue
        shown = [_spread(own.get(metric), own.get(f"{metric}_sd")) + _voted(own, metric) for metric in metrics]
        lines.append(f"| {cell.variant} | {cell.size} | {own['runs']} | {' | '.join(shown)} |")
    return lines


def _spread(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "null"
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} ± {deviation:.4f}"


def _voted(own: dict, metric: str) -> str:
    """Of runs that voted: the best run's, and that of the votes."""
    voted = own.get(f"{metric}_ensemble")
    return "" if voted is None else f" (best {own[f'{metric}_best']:.4f}, vote {voted:.4f})"


def section(study: str, cells: list[Cell], file: Path) -> list[str]:
    shown, first = STUDIES[study], cells[0].first
    lines = [f"## {shown.title}", ""]
    found = json.loads(read_text(file)) if file.exists() else {}  # git holds an empty one of a study that was not run:
    if not found:  # `dvc metrics diff` complains of those that are missing
        return [*lines, f"Not run: `dvc repro stages/studies/dvc.yaml:{study}`", ""]
    lines += [
        f"{first.model} on {first.task}, {len(cells[0].runs)} runs a cell (mean ± standard deviation over them).",
        "",
    ]
    lines += [f"![{shown.title}]({study}.png)", "", *rows(cells, found), ""]
    return [*lines, "The paper:", "", shown.published, ""]


@entry_point
def main() -> None:
    raw = params.read()
    params.check(raw)
    lines = [
        "# The paper's studies",
        "",
        "Made by `python -m stages.studies.report`; how to read it: docs/studies.md.",
        "",
    ]
    for study in (name for name in STUDIES if name in raw["studies"]):
        lines += section(study, cells_of(raw, study), METRICS_DIRECTORY / f"{study}.json")
    write_text(OUT, "\n".join(lines).rstrip() + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
