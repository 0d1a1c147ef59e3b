"""The scores of one system, or of two side by side, as JSON and as a Markdown table."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.scoring.scores import Metric, Metrics, Scores
from stages.scoring.significance import Interval, interval, p_value

ALL = "all"


@dataclass(frozen=True)
class System:
    """Scores of a system on one set of segments, and intervals if they were asked for."""

    scores: Scores
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Row:
    """A set of segments: the system, and the one it is compared with."""

    system: System
    against: System | None
    p_values: dict[str, float]


def rows(metrics: Metrics, against: Metrics | None, subsets: list[str], intervals: bool) -> dict[str, Row]:
    """A row for all segments, then one for each subset in order of first appearance.

    `subsets` names that of each segment; empty: there are none.
    """
    masks: dict[str, np.ndarray | None] = {ALL: None}
    masks |= {name: np.array(subsets) == name for name in dict.fromkeys(subsets)}
    return {name: _row(metrics, against, mask, intervals) for name, mask in masks.items()}


def _row(metrics: Metrics, against: Metrics | None, mask: np.ndarray | None, intervals: bool) -> Row:
    system = _system(metrics, mask, intervals)
    if against is None:
        return Row(system, None, {})
    compared = {
        name: p_value(metric, other)
        for name, metric in _scored(metrics, mask).items()
        if (other := _scored(against, mask).get(name))
    }
    return Row(system, _system(against, mask, intervals), compared)


def _system(metrics: Metrics, mask: np.ndarray | None, intervals: bool) -> System:
    found = {name: interval(metric) for name, metric in _scored(metrics, mask).items()} if intervals else {}
    return System(Scores.of(metrics, mask), found)


def _scored(metrics: Metrics, mask: np.ndarray | None) -> dict[str, Metric]:
    """The metrics that have a number on these segments, details left out, as metrics of these segments alone."""
    available = {name: metric for name, metric in metrics.items() if isinstance(metric, Metric) and not metric.detail}
    if mask is None:
        return available
    return {name: metric.of(mask) for name, metric in available.items() if not metric.whole_set_only}


def as_json(rows: dict[str, Row]) -> dict[str, Any]:
    """`metrics` by name, or by subset and name if there are subsets; what else there is beside it, in that form."""
    answer = _system_json({name: row.system for name, row in rows.items()})
    compared = {name: row.against for name, row in rows.items() if row.against}
    if compared:
        answer["against"] = _system_json(compared)
        answer["p_values"] = _by_subset({name: row.p_values for name, row in rows.items()})
    return answer


def _system_json(systems: dict[str, System]) -> dict[str, Any]:
    parts = {
        "metrics": {name: system.scores.metrics for name, system in systems.items()},
        "reasons": {name: system.scores.reasons for name, system in systems.items()},
        "intervals": {name: _plain(system.intervals) for name, system in systems.items()},
    }
    return {part: _by_subset(found) for part, found in parts.items() if any(found.values())}


def _by_subset(found: dict[str, dict]) -> dict:
    return found if len(found) > 1 else found[ALL]


def _plain(intervals: dict[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: asdict(interval) for name, interval in intervals.items()}


def as_markdown(rows: dict[str, Row], metrics: Metrics) -> str:
    """One line a set of segments and system, the p-values below, and why a number is missing."""
    lines = [["", *metrics], ["---", *["---:"] * len(metrics)]]
    for name, row in rows.items():
        lines.append([name, *_cells(row.system, metrics)])
        if row.against:
            lines.append([f"{name}, against", *_cells(row.against, metrics)])
            lines.append([f"{name}, p", *(f"{row.p_values[m]:.4f}" if m in row.p_values else "" for m in metrics)])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    reasons = {
        f"{metric}: {reason}": None
        for row in rows.values()
        for system in (row.system, row.against)
        if system
        for metric, reason in system.scores.reasons.items()
    }
    return "\n".join([table, *(f"\nnull {reason}" for reason in reasons)])


def _cells(system: System, metrics: Metrics) -> list[str]:
    return [_cell(name, metric, system) for name, metric in metrics.items()]


def _cell(name: str, metric: Any, system: System) -> str:
    number = system.scores.metrics[name]
    if number is None:
        return "null"
    if metric.detail:
        return f"{number:.2f}".removesuffix(".00")
    digits = 4 if metric.decimals is None else metric.decimals
    around = system.intervals.get(name)
    return f"{number:.{digits}f}" + (f" [{around.low:.{digits}f}, {around.high:.{digits}f}]" if around else "")
