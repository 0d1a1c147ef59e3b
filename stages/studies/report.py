"""Writes studies/metrics/report.md: figures and tables of all studies, next to the published results.

python -m stages.studies.report
"""

from collections.abc import Mapping
from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_json, write_text
from stages.studies.check import settings_of
from stages.studies.cost_table import cost_rows, file_of
from stages.studies.grid import Cell, cells_of
from stages.studies.paper import PUBLISHED, Published
from stages.studies.plan import METRICS, Plan, size_name
from stages.tasks import Shown, task_of

OUT = METRICS / "report.md"


def rows(plans: list[Plan], found: dict, published: Published) -> list[str]:
    """The lines of a Markdown table: a row for each cell (mean ± deviation), and the paper's row of each variant.

    `found` is the content of the study's metrics file.
    """
    columns, percent = _columns(plans, found), _shown(plans).percent
    models = {plan.model for plan in plans}
    lines = [f"| variant | examples | runs | {' | '.join(columns)} |", f"|---|---:|---:|{'---:|' * len(columns)}"]
    for index, plan in enumerate(plans):
        own = found.get(plan.variant, {}).get(size_name(plan.size))
        name = plan.variant if len(models) == 1 else f"{plan.variant}, {plan.model}"
        if own is None:
            lines.append(f"| {name} | {plan.size} | not run |{' |' * len(columns)}")
        else:
            texts = [_spread(own, metric, 100 if metric in percent else 1) for metric in columns]
            lines.append(f"| {name} | {plan.size} | {own['runs']} | {' | '.join(texts)} |")
        if plan.variant in published.numbers and plan.variant not in {later.variant for later in plans[index + 1 :]}:
            lines.append(_published(plan.variant, published.numbers[plan.variant], columns))
    not_ours = [variant for variant in published.numbers if variant not in {plan.variant for plan in plans}]
    return lines + [_published(variant, published.numbers[variant], columns) for variant in not_ours]


def _columns(plans: list[Plan], found: dict) -> list[str]:
    known = {key for variant in found.values() for own in variant.values() if isinstance(own, dict) for key in own}
    shown = _shown(plans)
    return [metric for metric in shown.columns or shown.figures if metric in known]


def _shown(plans: list[Plan]) -> Shown:
    return task_of(plans[0].task).shown


def _published(variant: str, numbers: Mapping[str, str], columns: list[str]) -> str:
    texts = (f"*{numbers[metric]}*" if metric in numbers else "" for metric in columns)
    return f"| *{variant}, the paper* | | | {' | '.join(texts)} |"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _spread(own: dict, metric: str, factor: int) -> str:
    """Mean ± standard deviation of a metric times `factor`; for runs that vote also the best run's and the votes'."""
    mean, deviation, vote = (own.get(f"{metric}{end}") for end in ("", "_sd", "_ensemble"))
    if mean is None:
        return "null"
    text = _number(factor * mean)
    if deviation is not None:  # with as many decimals as the mean
        text += f" ± {factor * deviation:.{len(text.partition('.')[2])}f}"
    if vote is not None:
        text += f" (best {_number(factor * own[f'{metric}_best'])}, vote {_number(factor * vote)})"
    return text


def gaps(plans: list[Plan], found: dict) -> list[str]:
    """The lines of a table of paired differences: first variant minus each other one, in the table's first metric.

    Empty if no difference was computed.
    """
    metric, lines = _columns(plans, found)[0], []
    factor = 100 if metric in _shown(plans).percent else 1
    for plan in plans:
        own = found.get(plan.variant, {}).get(size_name(plan.size), {})
        if f"{metric}_behind" in own:
            gap, error = (factor * own[f"{metric}_behind{end}"] for end in ("", "_se"))
            p_value = own.get(f"{metric}_behind_p")
            text = "" if p_value is None else f"{p_value:.4f}"
            lines.append(f"| {plan.size} | {plans[0].variant} - {plan.variant} | {gap:+.2f} ± {error:.2f} | {text} |")
    if not lines:
        return []
    subsets = plans[0].subsets
    what = f"the {subsets} subsets'" if subsets > 1 else f"the {len(plans[0].seeds)} seeds'"
    return [
        f"The same subsets and seeds: mean of {what} differences ± its standard error. p: a paired test of all outputs",
        "(approximate randomization).",
        "",
        f"| examples | difference | {metric} | p |",
        "|---:|---|---:|---:|",
        *lines,
        "",
    ]


def costs(plans: list[Plan], found: dict, file: Path) -> list[str]:
    """The lines of a table of what a run costs, beside the table's first metric; none if that is not known.

    `file` is the study's metrics file, `found` its content.
    """
    metric, texts = _columns(plans, found)[0], {}
    factor = 100 if metric in _shown(plans).percent else 1
    for plan in plans:
        own = found.get(plan.variant, {}).get(size_name(plan.size))
        if own is not None:
            texts[plan.variant, str(plan.size)] = _spread(own, metric, factor)
    return cost_rows(file_of(file), metric, texts)


def outdated(cells: list[Cell], found: dict) -> str | None:
    """The name of the first cell that was run with other parameters than params.yaml has now; None: there is none."""
    for cell in cells:
        own = found.get(cell.variant, {}).get(size_name(cell.size))
        if own is not None and own["settings"] != settings_of(cell).digest:
            return cell.name
    return None


def section(study: str, cells: list[Cell], file: Path) -> list[str]:
    """The Markdown lines of a study. `file` is its metrics file."""
    plans, published = [cell.plan for cell in cells], PUBLISHED.get(study, Published())
    title, again = cells[0].grid.figure.title, f"`dvc --cd studies repro summary@{study}`"
    lines = [f"## {title}", ""]
    found = read_json(file) if file.exists() else {}  # git has an empty file for a study that was not run:
    if not found:  # `dvc metrics diff` reports missing files as errors
        return [*lines, f"Not run: {again}", ""]
    if name := outdated(cells, found):
        return [*lines, f"{name} was run with other parameters than params.yaml has now: {again}", ""]
    models = ", ".join(dict.fromkeys(plan.model for plan in plans))
    percent = [metric for metric in _columns(plans, found) if metric in _shown(plans).percent]
    unit = f" {', '.join(percent)} times 100, as the papers print them." if percent else ""
    lines += [
        f"{models} on {plans[0].task}, {len(plans[0].runs)} runs a cell (mean ± standard deviation over them).{unit}",
        "",
        f"![{title}]({study}.png)",
        "",
        *rows(plans, found, published),
        "",
    ]
    if published.numbers:
        lines += [f"The paper's rows: {published.model} (arXiv v1).", ""]
    lines += gaps(plans, found) + costs(plans, found, file)
    return [*lines, published.caption, ""] if published.caption else lines


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
    for study in raw["studies"]:
        lines += section(study, cells_of(raw, study), METRICS / f"{study}.json")
    write_text(OUT, "\n".join(lines).rstrip() + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
