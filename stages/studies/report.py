"""All studies that have been run, as metrics/report.md: figures and tables, beside what the papers publish.

python -m stages.studies.report
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import yaml

from stages import params
from stages.core.errors import entry_point
from stages.core.files import json_text, read_json, read_text, write_text
from stages.studies.grid import Cell, cells_of, size_name
from stages.studies.paper import shown_of
from stages.studies.settings import DIRECTORY, file_of, settings_of
from stages.studies.shown import Shown, columns_of, percent_of
from stages.studies.summary import METRICS_DIRECTORY

OUT = METRICS_DIRECTORY / "report.md"
LOCK = Path("stages/studies/dvc.lock")


def rows(cells: list[Cell], found: dict, shown: Shown) -> list[str]:
    """A table row for each cell, mean ± deviation, and behind the last of a variant what the paper publishes of it."""
    columns, percent = _columns(cells, found), percent_of(cells[0].first.task)
    models = {cell.first.model for cell in cells}
    lines = [f"| variant | examples | runs | {' | '.join(columns)} |", f"|---|---:|---:|{'---:|' * len(columns)}"]
    for index, cell in enumerate(cells):
        own = found.get(cell.variant, {}).get(size_name(cell.size))
        name = cell.variant if len(models) == 1 else f"{cell.variant}, {cell.first.model}"
        if own is None:
            lines.append(f"| {name} | {cell.size} | not run |{' |' * len(columns)}")
        else:
            texts = [_spread(own, metric, 100 if metric in percent else 1) for metric in columns]
            lines.append(f"| {name} | {cell.size} | {own['runs']} | {' | '.join(texts)} |")
        if cell.variant in shown.published and cell.variant not in {later.variant for later in cells[index + 1 :]}:
            lines.append(_published(cell.variant, shown.published[cell.variant], columns))
    not_ours = [variant for variant in shown.published if variant not in {cell.variant for cell in cells}]
    return lines + [_published(variant, shown.published[variant], columns) for variant in not_ours]


def _columns(cells: list[Cell], found: dict) -> list[str]:
    known = {key for variant in found.values() for own in variant.values() if isinstance(own, dict) for key in own}
    return columns_of(cells[0].first.task, known)


def _published(variant: str, numbers: Mapping[str, str], columns: list[str]) -> str:
    texts = (f"*{numbers[metric]}*" if metric in numbers else "" for metric in columns)
    return f"| *{variant}, the paper* | | | {' | '.join(texts)} |"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _spread(own: dict, metric: str, factor: int) -> str:
    """Mean ± deviation; of runs that voted also the best run's and that of the votes."""
    mean, deviation, vote = (own.get(f"{metric}{end}") for end in ("", "_sd", "_ensemble"))
    if mean is None:
        return "null"
    text = _number(factor * mean)
    if deviation is not None:  # with as many digits
        text += f" ± {factor * deviation:.{len(text.partition('.')[2])}f}"
    if vote is not None:
        text += f" (best {_number(factor * own[f'{metric}_best'])}, vote {_number(factor * vote)})"
    return text


def gaps(cells: list[Cell], found: dict) -> list[str]:
    """By how much the first variant is above the others on the same subsets, in the first metric of the table."""
    metric, lines = _columns(cells, found)[0], []
    factor = 100 if metric in percent_of(cells[0].first.task) else 1
    for cell in cells:
        own = found.get(cell.variant, {}).get(size_name(cell.size), {})
        if f"{metric}_behind" in own:
            gap, error = (factor * own[f"{metric}_behind{end}"] for end in ("", "_se"))
            lines.append(f"| {cell.size} | {cells[0].variant} - {cell.variant} | {gap:+.2f} ± {error:.2f} |")
    if not lines:
        return []
    head = f"On the same subsets (mean of the {cells[0].grid.subsets} subsets' differences ± its standard error):"
    return [head, "", f"| examples | difference | {metric} |", "|---:|---|---:|", *lines, ""]


def others(cells: list[Cell], found: dict, locked: Mapping[tuple[str, str], str]) -> str | None:
    """What the summary is of, if that is not what params.yaml now says: of its numbers nothing can then be said here."""
    for cell in cells:
        of = found.get(cell.variant, {})
        own = of.get(size_name(cell.size))
        wanted = (cell.first.model, cell.first.task, len(cell.runs))
        if own is not None and (of["model"], of["task"], own["runs"]) != wanted:
            now, then = (
                f"{model} on {task}, {runs} runs"
                for model, task, runs in (wanted, (of["model"], of["task"], own["runs"]))
            )
            return f"{cell.name} was run with {then}, params.yaml says {now}"
        then = None if own is None else locked.get((cell.study, cell.name))
        if then is not None and then != _settings(cell):
            return f"{cell.name} was run with others than {file_of(cell)} has now"
    return None


def _settings(cell: Cell) -> str:
    """The md5 of the cell's file of settings, as the stage `check` writes it."""
    return hashlib.md5(json_text(settings_of(cell)).encode(), usedforsecurity=False).hexdigest()


def settings_in(lock: Path) -> dict[tuple[str, str], str]:
    """By study and cell, the md5 of the settings that it was run with, as DVC has locked it."""
    stages = (yaml.safe_load(read_text(lock)) or {}).get("stages", {}) if lock.exists() else {}
    found = {}
    for stage in stages.values():
        for dep in stage.get("deps", []):
            path = Path(dep["path"])
            if path.is_relative_to(DIRECTORY) and path.suffix == ".json":
                found[path.parent.name, path.stem] = dep["md5"]
    return found


def section(study: str, cells: list[Cell], file: Path, locked: Mapping[tuple[str, str], str]) -> list[str]:
    shown, first = shown_of(study), cells[0].first
    lines, again = [f"## {shown.title}", ""], f"`dvc repro stages/studies/dvc.yaml:{study}`"
    found = read_json(file) if file.exists() else {}  # git holds an empty one of a study that was not run:
    if not found:  # `dvc metrics diff` complains of those that are missing
        return [*lines, f"Not run: {again}", ""]
    if other := others(cells, found, locked):
        return [*lines, f"Run with other parameters ({other}): {again}", ""]
    models = ", ".join(dict.fromkeys(cell.first.model for cell in cells))
    percent = [metric for metric in _columns(cells, found) if metric in percent_of(first.task)]
    unit = f" {', '.join(percent)} times 100, as the papers print them." if percent else ""
    lines += [
        f"{models} on {first.task}, {len(cells[0].runs)} runs a cell (mean ± standard deviation over them).{unit}",
        "",
        f"![{shown.title}]({study}.png)",
        "",
        *rows(cells, found, shown),
        "",
    ]
    if shown.published:
        lines += [f"The paper's rows: {shown.model} (arXiv v1).", ""]
    lines += gaps(cells, found)
    return [*lines, shown.said, ""] if shown.said else lines


@entry_point
def main() -> None:
    raw = params.read()
    params.check(raw)
    locked = settings_in(LOCK)
    lines = [
        "# The paper's studies",
        "",
        "Made by `python -m stages.studies.report`; how to read it: docs/studies.md.",
        "",
    ]
    for study in raw["studies"]:
        lines += section(study, cells_of(raw, study), METRICS_DIRECTORY / f"{study}.json", locked)
    write_text(OUT, "\n".join(lines).rstrip() + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
