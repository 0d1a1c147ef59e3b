"""A trained prefix on disk: `prefix.safetensors` and a `config.json` that says what it belongs to."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stages.engine.model import FrozenLM
from stages.engine.tensors import write_tensors
from stages.errors import UserError
from stages.files import read_text, replacing

WEIGHTS, CONFIG = "prefix.safetensors", "config.json"


def save(out: Path, prefix: torch.Tensor, lm: FrozenLM, method: str, training: dict) -> None:
    """Write the prefix `[runs, layers, 2, kv_heads, len, head_dim]`, all of it or nothing."""
    config = {
        "method": method,
        "base_model": lm.name,
        "base_model_fingerprint": lm.fingerprint(),
        "shape": asdict(lm.shape),
        "runs": len(prefix),
        "prefix_len": prefix.shape[4],
        "training": training,
    }
    with replacing(out) as directory:
        directory.mkdir()
        write_tensors(directory / WEIGHTS, {"prefix": prefix})
        (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(directory: Path, lm: FrozenLM) -> torch.Tensor:
    """Read a prefix for `lm`. Raises UserError that says in one line what does not fit."""
    try:
        config = json.loads(read_text(directory / CONFIG))
        prefix = load_file(directory / WEIGHTS)["prefix"]
        expected = {"base_model": lm.name, "shape": asdict(lm.shape), "base_model_fingerprint": lm.fingerprint()}
        differing = [key for key in expected if config[key] != expected[key]]
        size = (config["runs"], lm.shape.layers, 2, lm.shape.kv_heads, config["prefix_len"], lm.shape.head_dim)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{directory} holds no saved prefix ({error})") from error
    if differing:
        key = differing[0]
        raise UserError(
            f"{directory} is a prefix of another model: its {key} is {config[key]}, that of {lm.name} is {expected[key]}"
        )
    if prefix.shape != size:
        raise UserError(f"{directory}: {WEIGHTS} has shape {list(prefix.shape)}, {CONFIG} says {list(size)}")
    return prefix.to(lm.device)
