"""What a run of a cell costs: seconds, peak memory and stored bytes. They are measured where it trains and decodes.

Costs are no result, since they differ from machine to machine. They are therefore in a file of their own.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stages.core.costs import Cost, Meter, processor
from stages.core.files import read_json, write_json
from stages.methods.parts import saved
from stages.models.identity import CONFIG
from stages.studies.plan import COSTS, Plan
from stages.training.checkpoint import Checkpoint

TRAIN, DECODE = "train", "decode"


class Part:
    """The costs of a part of some runs, training or decoding, which one process does for all of them together."""

    def __init__(self, name: str, runs: Sequence[Path]) -> None:
        """`runs`: the scratch directory of each run. What earlier attempts have kept there is added."""
        self._name, self._runs, self._gpu = name, runs, torch.cuda.is_available()
        self._before = [_read(run).get(name) for run in runs]
        self._meter = Meter(torch.cuda if self._gpu else None)

    def keep(self) -> None:
        """Write the costs up to now for each run: its share of the seconds, and the memory of all."""
        now = _share(self._meter.cost(), len(self._runs))
        machine = {"processor": processor(), "gpu": torch.cuda.get_device_name() if self._gpu else None}
        for run, before in zip(self._runs, self._before, strict=True):
            write_json(run / COSTS, _read(run) | machine | {self._name: _sum(before, now)})


@contextlib.contextmanager
def measured(name: str, runs: Sequence[Path]) -> Iterator[Part]:
    """Measure a part of the runs with these scratch directories, and keep its costs at the end, also after an error."""
    part = Part(name, runs)
    try:
        yield part
    finally:
        part.keep()


class CostedCheckpoint(Checkpoint):
    """A checkpoint that keeps the costs too, so that a killed training loses no more of them than of its work."""

    def __init__(self, path: Path, part: Part) -> None:
        """`part`: the training whose checkpoint this is."""
        super().__init__(path)
        self._part = part

    def save(self, *given: Any, **named: Any) -> None:
        """As `Checkpoint.save`."""
        super().save(*given, **named)
        self._part.keep()


def keep_stored(run: Path, model: Path) -> None:
    """Write what a run stores, the numbers and the bytes of its tensor file in the directory `model`."""
    tensors = read_json(model / CONFIG)["tensors"]
    stored = {"stored_parameters": sum(math.prod(tensor["shape"]) for tensor in tensors.values())}
    write_json(run / COSTS, _read(run) | stored | {"stored_bytes": saved.weights_of(model).stat().st_size})


def rows_of(plan: Plan, directory: Path) -> list[dict[str, Any]]:
    """The costs of each run of a cell, from its scratch directory, as `docs/studies.md` describes them.

    Seconds of a part that no attempt has kept are None.
    """
    return [{"subset": run.subset, "seed": run.seed, **_row(_read(directory / run.name))} for run in plan.runs]


def _row(kept: Mapping[str, Any]) -> dict[str, Any]:
    parts = [kept[name] for name in (TRAIN, DECODE) if name in kept]
    return {
        "processor": kept["processor"],
        "gpu": kept["gpu"],
        "runs_per_batch": max(part["runs"] for part in parts),
        **{f"{name}_seconds": round(kept[name]["seconds"], 2) if name in kept else None for name in (TRAIN, DECODE)},
        "peak_mb": round(max(part["peak_mb"] for part in parts), 1),
        "peak_is_own": all(part["peak_is_own"] for part in parts),
        "stored_parameters": kept["stored_parameters"],
        "stored_bytes": kept["stored_bytes"],
    }


def _share(cost: Cost, runs: int) -> dict[str, Any]:
    """The share of one of `runs` runs: seconds of a core, or by the clock on a GPU, whose own memory counts there."""
    if cost.gpu_peak_mb is None:
        seconds, memory = cost.core_seconds, {"peak_mb": cost.peak_mb, "peak_is_own": cost.peak_is_own}
    else:
        seconds, memory = cost.seconds, {"peak_mb": cost.gpu_peak_mb, "peak_is_own": False}
    return {"seconds": seconds / runs, "runs": runs, **memory}


def _sum(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """The costs of a part with those of the attempts before."""
    if before is None:
        return dict(now)
    return {
        "seconds": before["seconds"] + now["seconds"],
        "runs": now["runs"],
        "peak_mb": max(before["peak_mb"], now["peak_mb"]),
        "peak_is_own": before["peak_is_own"] and now["peak_is_own"],
    }


def _read(run: Path) -> dict[str, Any]:
    """What is kept of a run; empty before its first part."""
    file = run / COSTS
    return read_json(file) if file.exists() else {}
