"""The sections of params.yaml that define the studies. `grid.py` makes cells from them."""

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
    """The type of a list of `kind` with at least one value and no duplicates."""
    return Annotated[list[kind], Field(min_length=1), AfterValidator(_no_two_alike)]


Size = or_word(int, 1, "full")
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class Cells(Section):
    """The section `cells`: how the runs of the studies are computed. It changes no result beyond rounding."""

    processes: Count
    runs_per_batch: or_word(int, 1, "auto")  # type: ignore[valid-type]
    tasks: some(TaskName)  # type: ignore[valid-type]


class Groups(Section):
    """The groups of records to train on, and to test on. `train` None: all groups that are not in `test`."""

    train: some(str) | None  # type: ignore[valid-type]
    test: some(str)  # type: ignore[valid-type]


class Tune(Section):
    """A grid search on dev examples, for each cell.

    - `values`: a list of values for each key; the candidates are all combinations.
    - `runs`: how many runs of the cell are trained with each candidate.
    - `by`: `loss` (nats per target token) or a metric of the task, averaged over these runs.
    - `best`: whether the lowest or the highest mean is chosen.
    - `examples`: how many dev examples are used at most.
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
    """One line of a figure. `run`: changed keys of params.yaml; `steps`: training steps for each size of the study."""

    run: dict[str, Any]
    steps: Annotated[list[Count], Field(min_length=1)] | None = None
    tune: Tune | None = None


class Figure(Section):
    """How a study is drawn: over training examples (`size`), over the prefix length, or as bars by variant."""

    x: Literal["size", "prefix_len", "variant"]
    x_label: Text
    title: Text


class Personal(Section):
    """The section `personal`: `run` has changed keys of params.yaml, `known` how many restaurants of each user's training
    data other prefixes are asked for."""

    run: dict[str, Any]
    known: Count


class Study(Section):
    """A study: a grid of variants x sizes. Each cell has a run for each seed on each of `subsets` training samples."""

    figure: Figure
    run: dict[str, Any]
    sizes: some(Size)  # type: ignore[valid-type]
    subsets: Count
    seeds: some(Seed)  # type: ignore[valid-type]
    test: Size  # type: ignore[valid-type]
    groups: Groups | None
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]
