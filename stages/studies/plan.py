"""What the stages of a study hand to each other: plans of cells, and the settings that a cell's runs depend on.

The stage `check` writes them, one file for each stage of dvc.yaml, with a hash of the code that the stage is made of:
what another method, model, study or metric reads may change without running a cell again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

from stages.core.files import read_json

PROJECT = Path("studies")  # a DVC project of its own, so that the single run's knows nothing of its outs
DATA = PROJECT / "data"
SETTINGS = DATA / "settings"
METRICS = PROJECT / "metrics"


@dataclass(frozen=True)
class Run:
    subset: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.subset}-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A cell of a study, as its tables need it.

    `dev_share`: dev examples per training example; `test`: how many test records are decoded; `groups`: see params.yaml.
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
        """Those of a subset side by side."""
        return [Run(subset, seed) for subset, seed in product(range(self.subsets), self.seeds)]

    @property
    def out(self) -> Path:
        """Where what its runs make of the test records is kept."""
        return DATA / "runs" / self.study / self.name

    @property
    def scores(self) -> Path:
        return DATA / "scores" / self.study / self.name

    @property
    def settings(self) -> Path:
        return SETTINGS / "runs" / self.study / f"{self.name}.json"

    @property
    def linearized(self) -> Path:
        return linearized(self.task)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "seeds": tuple(value["seeds"])})


def size_name(size: int | str) -> str:
    """A key that sorts as the number does: DVC sorts keys as text."""
    return size if isinstance(size, str) else f"n{size:05d}"


def linearized(task: str) -> Path:
    """The task's data for all studies."""
    return DATA / "linearized" / task


@dataclass(frozen=True)
class CellSettings:
    """What the runs of a cell depend on beside data: their configuration, and the code.

    `candidates` are the configurations among which `tune` chooses, each with the values that it differs in; without
    `tune` there is one. `files` are those of trained runs that the method starts from.
    """

    plan: Plan
    candidates: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    tune: Mapping[str, Any] | None
    runs_per_batch: int | str
    files: tuple[str, ...]
    code: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def digest(self) -> str:
        """Of the parameters, whatever the code: what tells numbers of other parameters from those of these."""
        own = {key: value for key, value in self.as_json().items() if key != "code"}
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> Self:
        value = read_json(path)
        candidates = [tuple(one) for one in value["candidates"]]
        return cls(**{
            **value, "plan": Plan.from_json(value["plan"]), "candidates": candidates, "files": tuple(value["files"]),
        })  # fmt: skip


def plans_in(path: Path) -> list[Plan]:
    """The plans of all cells of a study, which a stage's settings hold."""
    return [Plan.from_json(value) for value in read_json(path)["cells"]]
