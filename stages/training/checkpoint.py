"""Checkpoints of a training that was interrupted: tensors in safetensors, no pickle.

A checkpoint lives outside the stage's outs, under `.scratch/<hash of everything the training depends
on>`, so that DVC does not delete it before a re-run and a training with other settings never finds it.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import safe_open

from stages.core.files import replacing
from stages.core.scratch import scratch
from stages.core.tensors import write_tensors


class Checkpoint:
    """Parameters, optimiser state and the number of steps done, of one training."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    @contextlib.contextmanager
    def of(cls, settings: Any, *sources: Path) -> Iterator["Checkpoint"]:
        """The checkpoint of the training with these settings (JSON) and these files, as `scratch`: what it makes is written
        in the block, behind which it is deleted."""
        with scratch(settings, *sources) as directory:
            yield cls(directory / "checkpoint.safetensors")

    def save(
        self,
        module: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        step: int,
        more: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """Write all of it at once, or nothing. `more` are further tensors of the caller's."""
        tensors = {f"parameter/{name}": p for name, p in module.named_parameters()}
        for number, optimizer in enumerate(optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer/{number}/{index}/{key}"] = torch.as_tensor(value)
        tensors |= {f"more/{name}": value for name, value in more.items()}
        with replacing(self.path) as temporary:
            write_tensors(temporary, tensors, {"step": str(step)})

    def restore(self, module: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> int:
        """Put everything back and return the number of steps done; 0 where there is no checkpoint."""
        if not self.path.exists():
            return 0
        with safe_open(self.path, "pt") as file:
            step = int(file.metadata()["step"])
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    parameter.copy_(file.get_tensor(f"parameter/{name}"))
            for number, optimizer in enumerate(optimizers):
                packed = optimizer.state_dict()
                for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                    if key.startswith(f"optimizer/{number}/"):
                        _, _, index, name = key.split("/")
                        packed["state"].setdefault(int(index), {})[name] = file.get_tensor(key)
                optimizer.load_state_dict(packed)
        return step

    def more(self) -> dict[str, torch.Tensor]:
        """The caller's further tensors."""
        with safe_open(self.path, "pt") as file:
            return {k.removeprefix("more/"): file.get_tensor(k) for k in file.keys() if k.startswith("more/")}  # noqa: SIM118

    def remove(self) -> None:
        shutil.rmtree(self.path.parent, ignore_errors=True)
