"""A trained run on disk: `<method>.safetensors`, and `config.json`, which names the method and the base model."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stages.core.errors import UserError
from stages.core.files import read_json, replacing
from stages.core.run_config import RunConfig
from stages.core.tensors import write_tensors
from stages.methods import names
from stages.methods.parts import head
from stages.models.adaptation import Adaptation
from stages.models.identity import CONFIG, check_belongs
from stages.models.model import LM


def save(
    out: Path, config: RunConfig, state: dict[str, torch.Tensor], base_model_id: dict, labels: Sequence[str] = ()
) -> None:
    """Write a trained run to the directory `out`, completely or not at all.

    `state` is what `Method.state` gives, [1, ...] by name; `base_model_id` identifies the base model; `labels` are the
    classes of the task. Raises UserError if the directory cannot be written.
    """
    sizes = {name: list(tensor.shape) for name, tensor in state.items()}
    kept = {key: value for key, value in config.as_json().items() if key in ("prefix_len", "training", "options")}
    with replacing(out) as directory:
        directory.mkdir()
        write_tensors(directory / f"{config.method}.safetensors", state)
        about = {"method": config.method, **base_model_id, **kept, "labels": list(labels), "tensors": sizes}
        (directory / CONFIG).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load(directory: Path, lm: LM, identity: dict | None = None) -> Adaptation:
    """The adaptation of `lm` by a saved run. Sets `lm.labels` to the run's classes.

    `identity`: as for `check_belongs`. Raises UserError if the directory has no trained run, or if the run belongs to another base model.
    """
    config = check_belongs(directory, lm, identity)
    try:
        method, sizes, lm.labels = config["method"], config["tensors"], config.get("labels", [])
        state = load_file(directory / f"{method}.safetensors")
        if method not in names():
            raise KeyError(method)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory} holds no trained run ({error})") from error
    found = {name: list(tensor.shape) for name, tensor in state.items()}
    if found != sizes:
        raise UserError(f"{directory}: {method}.safetensors holds {found}, {CONFIG} says {sizes}")
    return head.load(method, lm, {name: tensor.to(lm.device) for name, tensor in state.items()})


def weights_of(directory: Path) -> Path:
    """The tensor file of a saved run. Raises UserError if `config.json` cannot be read."""
    return directory / f"{read_json(directory / CONFIG)['method']}.safetensors"
