"""A trained run on disk: `<method>.safetensors`, and `config.json`, which names the method and the base model.

The config also has the checksum of the tensor file, and dtype and shape of each tensor. All of it is checked before a
number of the run is used.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stages.core.errors import UserError
from stages.core.files import read_json, replacing, sha256
from stages.core.run_config import RunConfig
from stages.core.tensors import read_tensors, write_tensors
from stages.methods import names
from stages.methods.parts import head
from stages.models.adaptation import Adaptation
from stages.models.identity import CONFIG, check_belongs
from stages.models.model import LM

_SETTINGS = ("task", "revision", "prefix_len", "source_words", "precision", "training", "options")  # of a RunConfig


def save(
    out: Path, config: RunConfig, state: dict[str, torch.Tensor], base_model_id: dict, labels: Sequence[str] = ()
) -> None:
    """Write a trained run to the directory `out`, completely or not at all.

    `state` is what `Method.state` gives, [1, ...] by name; `base_model_id` identifies the base model; `labels` are the
    classes of the task. Raises UserError if the directory cannot be written.
    """
    kept = {key: value for key, value in config.as_json().items() if key in _SETTINGS}
    cut = {"source_tokens": config.decoding.source_tokens, "target_tokens": config.decoding.target_tokens}
    write(out, config.method, state, {**base_model_id, **kept, "cut": cut, "labels": list(labels)})


def write(out: Path, method: str, state: dict[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write a run of `method` to the directory `out`, completely or not at all.

    `about`: what `config.json` says besides the method and the tensors. Raises UserError as `save`.
    """
    with replacing(out) as directory:
        directory.mkdir()
        file = directory / f"{method}.safetensors"
        write_tensors(file, state)
        tensors = {name: _described(tensor) for name, tensor in state.items()}
        config = {"method": method, **about, "tensors": tensors, "sha256": sha256(file)}
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(directory: Path, lm: LM, identity: dict | None = None) -> Adaptation:
    """The adaptation of `lm` by a saved run. Sets `lm.labels` to the run's classes.

    `identity`: as for `check_belongs`. Raises UserError if the run belongs to another base model, or as `state_of`.
    """
    config, state = check_belongs(directory, lm, identity), state_of(directory)
    lm.labels = config.get("labels", [])
    return head.load(config["method"], lm, {name: tensor.to(lm.device) for name, tensor in state.items()})


def state_of(directory: Path) -> dict[str, torch.Tensor]:
    """The tensors of a saved run, [1, ...] by name, on the CPU.

    Raises UserError if the directory has no trained run, or if the tensor file is not the one that was written: its
    checksum, a tensor's dtype or shape differs from what `config.json` says, or a number is not finite.
    """
    file, config = weights_of(directory), read_json(directory / CONFIG)
    if "sha256" not in config:
        raise UserError(
            f"{directory / CONFIG} has no sha256: an older version wrote this run, and its numbers cannot be checked: "
            "train it again"
        )
    try:
        found = sha256(file)
    except OSError as error:
        raise UserError(f"{directory} holds no trained run (cannot read {file}: {error.strerror or error})") from error
    if found != config["sha256"]:
        raise UserError(
            f"{file} is not the file that was written: its sha256 is {found}, {CONFIG} says {config['sha256']}: copy "
            "the run again, or train it again"
        )
    state = read_tensors(file)
    said = config.get("tensors")
    if not isinstance(said, dict):
        raise UserError(f"{directory} holds no trained run ({CONFIG} names no tensors)")
    described = {name: _described(tensor) for name, tensor in state.items()}
    for name in described | said:
        if described.get(name) != said.get(name):
            raise UserError(
                f"{file}: tensor {name!r} is {described.get(name)}, {CONFIG} says {said.get(name)}: copy the run "
                "again, or train it again"
            )
    check_finite(file, state)
    return state


def check_finite(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raises UserError that names the first tensor of `file` with a number that is NaN or infinite."""
    for name, tensor in tensors.items():
        # By the extremes, which NaN is one of: `isfinite` would take memory of the tensor's size.
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
            raise UserError(f"{file}: tensor {name!r} has numbers that are NaN or infinite: train it again")


def weights_of(directory: Path) -> Path:
    """The tensor file of a saved run. Raises UserError if `config.json` cannot be read or names no method."""
    config = read_json(directory / CONFIG)
    method = config.get("method") if isinstance(config, dict) else None
    if method not in names():  # it becomes a file name
        raise UserError(f"{directory} holds no trained run ({CONFIG}: method is {method!r})")
    return directory / f"{method}.safetensors"


def _described(tensor: torch.Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
