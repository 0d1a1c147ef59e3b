"""What a task gives to be scored: a reader of its files, and its metric set."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from stages.core.files import TextFile
from stages.scoring.scores import Metrics

# Hypotheses and references by segment; what one of each is, the task says.
Measure = Callable[[list[Any], list[Any]], Metrics]


@dataclass(frozen=True)
class Task:
    """`read(hypotheses' file, references' files)` gives one hypothesis and one entry of references a segment.

    `read` raises UserError. `opened()` gives the metric set of a system, as a function of what `read` gives;
    a program that it needs (METEOR's Java) runs once for all systems measured inside the block.
    """

    read: Callable[[TextFile, list[TextFile]], tuple[list[Any], list[Any]]]
    opened: Callable[[], AbstractContextManager[Measure]]


def without_programs(measure: Measure) -> Callable[[], AbstractContextManager[Measure]]:
    """`opened` of a metric set that is pure Python."""
    return lambda: nullcontext(measure)
