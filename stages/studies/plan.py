"""The files between the stages of a study: plans of cells, and the settings that the runs of a cell depend on.

The stage `check` writes one file for each later stage, with a hash of the code which that stage uses. A change that
concerns only another method, model, study or metric therefore does not run a cell again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

from stages.core.files import read_json

PROJECT = Path("studies")  # a separate DVC project, so that the project of the single run does not contain its outs
DATA = PROJECT / "data"
SETTINGS = DATA / "settings"
METRICS = PROJECT / "metrics"
COSTS = "costs.json"  # beside the hypotheses of a cell
TESTS = "tests.json"  # beside its scores


@dataclass(frozen=True)
class Run:
    """A run of a cell: the number of its training sample, and its seed."""

    subset: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.subset}-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What the stages of a study need to know of a cell.

    `size`: training examples; `subsets`: training samples; `dev_share`: dev examples per training example; `test`: how
    many test records are decoded; `groups`: see params.yaml. `size` and `test` can be `full`.
    """

    study: str
    variant: str
    size: int | str
    task: str
    model: str
    prefix_len: int | None
    subsets: int
    dev_share: float
    seeds: tuple[int, ...]
    test: int | str
    groups: Mapping[str, list[str] | None] | None

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.size}"

    @property
    def runs(self) -> list[Run]:
        """The runs of the cell: all seeds of the first subset, then those of the next."""
        return [Run(subset, seed) for subset, seed in product(range(self.subsets), self.seeds)]

    @property
    def out(self) -> Path:
        """The directory of the hypotheses of its runs."""
        return DATA / "runs" / self.study / self.name

    @property
    def scores(self) -> Path:
        """The directory of the scores of its runs."""
        return DATA / "scores" / self.study / self.name

    @property
    def settings(self) -> Path:
        """The file of its `CellSettings`."""
        return SETTINGS / "runs" / self.study / f"{self.name}.json"

    @property
    def linearized(self) -> Path:
        """The directory of the records of its task."""
        return linearized(self.task)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The plan from the JSON value of its fields."""
        return cls(**{**value, "seeds": tuple(value["seeds"])})


def size_name(size: int | str) -> str:
    """The key of a size in metrics files. Zeros pad it, because DVC sorts keys as text."""
    return size if isinstance(size, str) else f"n{size:05d}"


def linearized(task: str) -> Path:
    """The directory of a task's records, which all studies share."""
    return DATA / "linearized" / task


@dataclass(frozen=True)
class CellSettings:
    """What the runs of a cell depend on besides data.

    `candidates`: the configurations among which `tune` chooses, each after the values that it changes; without `tune`
    there is one. `files`: those of trained runs that the method starts from. `code`: hash of the code of the runs.
    """

    plan: Plan
    candidates: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    tune: Mapping[str, Any] | None
    runs_per_batch: int | str
    files: tuple[str, ...]
    code: str

    def as_json(self) -> dict[str, Any]:
        """The settings as a JSON value."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """A hash of the settings without the code. It shows whether results were computed with other parameters."""
        own = {key: value for key, value in self.as_json().items() if key != "code"}
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the settings from a JSON file. Raises UserError as `read_json`."""
        value = read_json(path)
        candidates = [tuple(one) for one in value["candidates"]]
        return cls(**{
            **value, "plan": Plan.from_json(value["plan"]), "candidates": candidates, "files": tuple(value["files"]),
        })  # fmt: skip


def plans_in(path: Path) -> list[Plan]:
    """The plans of all cells of a study, from the settings file of a stage. Raises UserError as `read_json`."""
    return [Plan.from_json(value) for value in read_json(path)["cells"]]
