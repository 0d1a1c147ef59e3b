"""The sections of params.yaml that the studies read; `grid.py` makes runs of them."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from stages.core.sections import Count, Section, Seed, or_word
from stages.tasks import TaskName


def _no_two_alike(values: list) -> list:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"holds {value} twice")
    return values


def some(kind: Any) -> Any:
    """A list of at least one, no two alike."""
    return Annotated[list[kind], Field(min_length=1), AfterValidator(_no_two_alike)]


Size = or_word(int, 1, "full")
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class Cells(Section):
    """How the runs of the studies are worked off; moves no result beyond rounding."""

    processes: Count
    together: or_word(int, 1, "auto")  # type: ignore[valid-type]
    tasks: some(TaskName)  # type: ignore[valid-type]


class Groups(Section):
    """Parts of the data (a record's group) that are trained on (None: all that are not described), and that are described."""

    train: some(str) | None  # type: ignore[valid-type]
    test: some(str)  # type: ignore[valid-type]


class Variant(Section):
    """What one line of a figure differs in: keys of the single run, and the steps of each size if they differ by it."""

    run: dict[str, Any]
    steps: Annotated[list[Count], Field(min_length=1)] | None = None


class Study(Section):
    """Variants x sizes; each cell has `subsets` samples and a training of each seed on each of them."""

    run: dict[str, Any]
    sizes: some(Size)  # type: ignore[valid-type]
    subsets: Count
    seeds: some(Seed)  # type: ignore[valid-type]
    test: Size  # type: ignore[valid-type]
    groups: Groups | None
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]
