"""The cells of a study: variants x sizes. The runs of a cell are subsets x seeds (paper, section 6.3).

A run is the single run of dvc.yaml with some keys of params.yaml changed: first those of the study, then those of the
variant, then size, subset and seed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from stages import params
from stages.core.errors import UserError
from stages.studies.plan import Plan
from stages.studies.section import Study, Tune

# A study must give these keys, so that its cells do not change with those of the single run.
OWN = ("task", "model", "method", "prefix_len")
# The grid gives these keys.
TAKEN = ("train_size", "subset", "seed", "threads")
# These keys are the same for all studies: in a study's `run` they would have no effect.
COMMON = ("linearize", "sources", "studies", "pretrain", "denoise", "span", "adapt", "probes", "serve", "personal")


@dataclass(frozen=True)
class Cell:
    """A cell of a study: one variant with one size of training data (examples, or `full`)."""

    study: str
    variant: str
    size: int | str
    grid: Study
    tune: Tune | None
    raw: dict[str, Any]  # params.yaml with the changes of study and variant

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.size}"

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Add study and variant to the message of a UserError inside the block."""
        try:
            yield
        except UserError as error:
            what = str(error).removeprefix(f"{params.FILE}: ")
            raise UserError(f"{params.FILE}: studies.{self.study}.variants.{self.variant}: {what}") from error

    @cached_property
    def candidates(self) -> list[tuple[dict[str, Any], params.Params]]:
        """The candidates of `tune`: for each the values that it changes, by key, and its parameters.

        Without `tune` there is one candidate, without changes. Raises UserError that names study, variant and key.
        """
        values = {} if self.tune is None else self.tune.values
        found = []
        for chosen in product(*values.values()):
            changes = dict(zip(values, chosen, strict=True))
            first = {"train_size": self.size, "subset": 0, "seed": self.grid.seeds[0], "threads": 1}
            with self.named():
                raw = merged(self.raw, first)
                for key, value in changes.items():
                    raw = merged(raw, nested(key, value))
                found.append((changes, params.check(raw)))
        return found

    @property
    def params(self) -> params.Params:
        """The parameters of the cell's first run with the first candidate."""
        return self.candidates[0][1]

    @property
    def plan(self) -> Plan:
        """The plan of the cell. Raises UserError that names study, variant and key."""
        grid, first = self.grid, self.params
        groups = None if grid.groups is None else grid.groups.model_dump()
        with self.named():
            length = first.prefix_length
        return Plan(
            self.study, self.variant, self.size, first.task, first.model, length, grid.subsets, first.dev_share,
            tuple(grid.seeds), grid.test, groups,
        )  # fmt: skip


def nested(key: str, value: Any) -> dict[str, Any]:
    """The value at a key with points, as nested dictionaries: `a.b` gives {"a": {"b": value}}."""
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with the values of `changes`, merged section by section.

    Raises UserError if one of them has a section where the other has a value.
    """
    both = dict(base)
    for key, value in changes.items():
        deeper = isinstance(value, dict)
        before = both.get(key)
        if before is not None and deeper != isinstance(before, dict):
            raise UserError(f"{key} is given as {value!r} and as {before!r}: only one of them is a section")
        both[key] = merged(before, value) if deeper and before is not None else value
    return both


def cells_of(raw: dict[str, Any], study: str) -> list[Cell]:
    """All cells of a study, checked, in the order of params.yaml. `raw` is the content of params.yaml.

    Raises UserError that names the first wrong key.
    """
    chosen = params.check(raw)
    if study not in chosen.studies:
        raise UserError(f"{params.FILE}: studies has {', '.join(chosen.studies)}, no {study}")
    grid, where = chosen.studies[study], f"{params.FILE}: studies.{study}"
    cells = []
    for name, variant in grid.variants.items():
        if variant.steps is not None and len(variant.steps) != len(grid.sizes):
            raise UserError(
                f"{where}.variants.{name}.steps has {len(variant.steps)} values for {len(grid.sizes)} sizes: give one each"
            )
        if "task" in variant.run:
            raise UserError(
                f"{where}.variants.{name}.run: task is for run alone: the variants of a study have one in common"
            )
        try:
            changes = merged(grid.run, variant.run)
            own = merged(raw, changes)
        except UserError as error:
            raise UserError(f"{where}: run or variants.{name}.run: {error}") from error
        _check_keys(changes, where, name)
        for key in variant.tune.values if variant.tune is not None else ():
            if key in (*TAKEN, "task", "method") or key.partition(".")[0] in COMMON:
                raise UserError(f"{where}: {key} is not for variants.{name}.tune: the grid gives it")
        for index, size in enumerate(grid.sizes):
            if variant.steps is not None:  # the single run may have epochs
                base = merged(raw, {"train": {"epochs": params.RECIPE}})
                own = merged(merged(base, changes), {"train": {"steps": variant.steps[index]}})
            cells.append(Cell(study, name, size, grid, variant.tune, own))
    for cell in cells:
        task = cell.params.task
        if task not in chosen.cells.tasks:
            raise UserError(f"{where} has task {task}, which cells.tasks lacks: it has {', '.join(chosen.cells.tasks)}")
    return cells


def _check_keys(changes: dict[str, Any], where: str, name: str) -> None:
    """Raises UserError if the changes of a variant lack a key of `OWN`, or have one of `TAKEN` or `COMMON`."""
    for key in OWN:
        if key not in changes:
            raise UserError(f"{where}: run or variants.{name}.run must give {key}")
    for key in TAKEN:
        if key in changes:
            raise UserError(f"{where}: {key} is not for run or variants.{name}.run: the grid gives it")
    cells = changes.get("cells")
    common = [key for key in COMMON if key in changes]
    if isinstance(cells, dict) and "tasks" in cells:
        common.append("cells.tasks")
    if common:
        raise UserError(f"{where}: {common[0]} is not for run or variants.{name}.run: it is the same in all studies")
