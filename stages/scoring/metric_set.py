"""A metric set: how its official files are read, and how a system is scored. Found by file name.

A file of this package that defines `METRIC_SETS`, metric sets by name, adds them to `python -m stages.scoring`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from stages import scoring
from stages.core.files import TextFile
from stages.core.registry import definitions
from stages.scoring.encoders import Encoders
from stages.scoring.scores import Metrics

# Scores a system: of hypotheses and references by segment; what one of each is, the metric set says.
Scorer = Callable[[list[Any], list[Any]], Metrics]


@dataclass(frozen=True)
class MetricSet:
    """`read(hypotheses' file, references' files)` gives one hypothesis and one entry of references a segment.

    `read` raises UserError. `scorer()` is a context manager, whose block scores any number of systems as a function of
    what `read` gives; what the set needs (METEOR's paraphrases) is read once for all of them. `with_encoders` gives the
    set with other models than the default ones, where it has metrics by language models.
    """

    read: Callable[[TextFile, list[TextFile]], tuple[list[Any], list[Any]]]
    scorer: Callable[[], AbstractContextManager[Scorer]]
    with_encoders: Callable[[Encoders], "MetricSet"] | None = None


def without_programs(score: Scorer) -> Callable[[], AbstractContextManager[Scorer]]:
    """`scorer` of a metric set that is pure Python."""
    return lambda: nullcontext(score)


def metric_sets() -> dict[str, MetricSet]:
    """All metric sets by name, sorted. Raises UserError for a name that two files define."""
    return definitions(scoring, "METRIC_SETS", everywhere=False)
