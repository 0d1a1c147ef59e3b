"""Checkpoints of a training that was interrupted: tensors in safetensors, no pickle.

A checkpoint lives outside the stage's outs, under `.scratch/<hash of everything the training depends
on>`, so that DVC does not delete it before a re-run and a training with other settings never finds it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import safe_open

from stages.engine.tensors import write_tensors
from stages.errors import UserError
from stages.files import replacing

SCRATCH = Path(".scratch")


def code() -> list[Path]:
    """The files of the engine and the methods: work that other code began is not gone on with."""
    engine = Path(__file__).parent
    return sorted([*engine.glob("*.py"), *(engine.parent / "methods").glob("*.py")])


def _directory(settings: Any, *sources: Path) -> Path:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for source in sources:
        try:
            with open(source, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"cannot read {source}: {error.strerror}") from error
    return SCRATCH / digest.hexdigest()[:32]


@contextlib.contextmanager
def scratch(settings: Any, *sources: Path) -> Iterator[Path]:
    """A directory for work with these settings and files, found again by a re-run and deleted on success.

    Raises UserError where another process is at work in it: a stage goes on when `dvc` alone is killed.
    """
    directory = _directory(settings, *sources)
    with _locked(directory.with_suffix(".lock")):
        yield directory
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """This process alone holds the file, which is gone behind the block."""
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        held = os.open(file, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(held), os.stat(file)):
                break
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(held)
            taken = "another process is at this work: wait for its end, or end it"
            said = taken if isinstance(error, BlockingIOError) else f"cannot be locked ({error.strerror})"
            raise UserError(f"{file}: {said}") from error
        os.close(held)  # who held it has just been done with it
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(held)


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
