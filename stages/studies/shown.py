"""How a study is shown: its title, its picture, and what the paper publishes of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from stages.studies.figures import How
from stages.tasks import task_of

Numbers = Mapping[str, Mapping[str, str]]  # by variant and metric, as printed


@dataclass(frozen=True)
class Shown:
    title: str
    how: How
    model: str = ""  # whose numbers are published
    published: Numbers = field(default_factory=dict)
    said: str = ""  # Markdown: what is published without numbers that stand beside ours


def table(metrics: str, **variants: str) -> Numbers:
    """A published table: the names of its columns, and the numbers of each variant."""
    names = metrics.split()
    return {variant: dict(zip(names, numbers.split(), strict=True)) for variant, numbers in variants.items()}


def metrics_of(task: str, known: Collection[str]) -> list[str]:
    """Those of the task's figures that are known."""
    return [metric for metric in task_of(task).shown.figures if metric in known]


def columns_of(task: str, known: Collection[str]) -> list[str]:
    """Those of the task's tables that are known."""
    shown = task_of(task).shown
    return [metric for metric in shown.columns or shown.figures if metric in known]


def percent_of(task: str) -> Collection[str]:
    return task_of(task).shown.percent
