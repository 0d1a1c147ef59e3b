"""The sections of params.yaml that the studies read; `grid.py` makes cells of them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.core.sections import Count, Section, Seed, Text, or_word
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
    """How the runs of the studies are computed; changes no result beyond rounding."""

    processes: Count
    runs_per_batch: or_word(int, 1, "auto")  # type: ignore[valid-type]
    tasks: some(TaskName)  # type: ignore[valid-type]


class Groups(Section):
    """Parts of the data (a record's group) to train on (None: all that are not tested on), and to test on."""

    train: some(str) | None  # type: ignore[valid-type]
    test: some(str)  # type: ignore[valid-type]


class Tune(Section):
    """Settings among which the dev examples choose, for each cell: all combinations of `values`, lists by key of the run.

    The first `runs` runs of the cell are trained with each. `by` is `loss`, per target token, or a metric of the task;
    the `lowest` or `highest` mean is the `best`. At most `examples` dev examples are read.
    """

    values: Annotated[dict[str, some(Any)], Field(min_length=1)]  # type: ignore[valid-type]
    runs: Count
    examples: Count
    by: Text
    best: Literal["lowest", "highest"]

    @model_validator(mode="after")
    def _loss_is_lowest(self) -> "Tune":
        if self.by == "loss" and self.best != "lowest":
            raise ValueError("by is loss: best must be lowest")
        return self


class Variant(Section):
    """What one line of a figure differs in: keys of the single run, and the steps of each size if they differ by it."""

    run: dict[str, Any]
    steps: Annotated[list[Count], Field(min_length=1)] | None = None
    tune: Tune | None = None


class Figure(Section):
    """How a study is drawn, over the number of training examples, the prefix length, or as bars by variant."""

    x: Literal["size", "prefix_len", "variant"]
    x_label: Text
    title: Text


class Study(Section):
    """Variants x sizes; each cell has `subsets` samples and a training of each seed on each of them."""

    figure: Figure
    run: dict[str, Any]
    sizes: some(Size)  # type: ignore[valid-type]
    subsets: Count
    seeds: some(Seed)  # type: ignore[valid-type]
    test: Size  # type: ignore[valid-type]
    groups: Groups | None
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]
