"""Checkpoints, from which an interrupted training resumes: tensors in safetensors, no pickle.

A checkpoint is not among the stage's outs, since DVC deletes these before a re-run. It is in
`.scratch/<hash of everything the training depends on>`, so that a training with other settings never finds it.
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
    """The parameters, the optimizer state and the number of steps done of one training."""

    def __init__(self, path: Path):
        """`path`: the safetensors file; its directory belongs to the checkpoint, and `remove` deletes it."""
        self.path = path

    @classmethod
    @contextlib.contextmanager
    def of(cls, settings: Any, *sources: Path) -> Iterator["Checkpoint"]:
        """The checkpoint of the training with these settings (JSON) and source files.

        Write the result of the training inside the `with` block: at its end the checkpoint is deleted, unless there was
        an error. Raises UserError as `scratch` does.
        """
        with scratch(settings, *sources) as directory:
            yield cls(directory / "checkpoint.safetensors")

    def save(
        self,
        module: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        step: int,
        more: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """Write the checkpoint completely or not at all. `more` are additional tensors by name (see `History.tensors`).

        Raises UserError if the file cannot be written.
        """
        tensors = {f"parameter/{name}": p for name, p in module.named_parameters()}
        for number, optimizer in enumerate(optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer/{number}/{index}/{key}"] = torch.as_tensor(value)
        tensors |= {f"more/{name}": value for name, value in more.items()}
        with replacing(self.path) as temporary:
            write_tensors(temporary, tensors, {"step": str(step)})

    def restore(self, module: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> int:
        """Load the checkpoint into module and optimizers. Returns the number of steps done; 0 without a checkpoint."""
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
        """The additional tensors that were given to `save`, by name."""
        with safe_open(self.path, "pt") as file:
            return {k.removeprefix("more/"): file.get_tensor(k) for k in file.keys() if k.startswith("more/")}  # noqa: SIM118

    def remove(self) -> None:
        """Delete the checkpoint with its directory."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
