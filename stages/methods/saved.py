"""A trained run on disk: `<method>.safetensors` and a `config.json` that says what it belongs to."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stages.core.errors import UserError
from stages.core.files import read_json, replacing
from stages.core.tensors import write_tensors
from stages.methods import METHODS, apply
from stages.models.identity import CONFIG, belonging, check_belongs
from stages.models.model import LM
from stages.models.steering import Steering

__all__ = ["belonging", "load", "save", "weights_of"]


def save(
    out: Path, method: str, stored: dict[str, torch.Tensor], belongs: dict, training: dict, labels: Sequence[str] = ()
) -> None:
    """Write what `Method.stored` gives, all of it or nothing; `belongs` is of `belonging`, `labels` of an encoder's task."""
    sizes = {name: list(tensor.shape) for name, tensor in stored.items()}
    with replacing(out) as directory:
        directory.mkdir()
        write_tensors(directory / f"{method}.safetensors", stored)
        config = {"method": method, **belongs, "training": training, "labels": list(labels), "tensors": sizes}
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(directory: Path, lm: LM) -> Steering:
    """Put a saved run into effect on `lm`. Raises UserError that says in one line what does not fit."""
    config = check_belongs(directory, lm)
    try:
        method, sizes, lm.labels = config["method"], config["tensors"], config.get("labels", [])
        stored = load_file(directory / f"{method}.safetensors")
        if method not in METHODS:
            raise KeyError(method)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory} holds no trained run ({error})") from error
    found = {name: list(tensor.shape) for name, tensor in stored.items()}
    if found != sizes:
        raise UserError(f"{directory}: {method}.safetensors holds {found}, {CONFIG} says {sizes}")
    return apply(method, lm, {name: tensor.to(lm.device) for name, tensor in stored.items()})


def weights_of(directory: Path) -> Path:
    """The file of the tensors, whose content tells one trained run from another."""
    return directory / f"{read_json(directory / CONFIG)['method']}.safetensors"
