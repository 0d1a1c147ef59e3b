"""The base model of a trained run, recorded in `config.json` beside the run's tensors."""

from dataclasses import asdict
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import read_json
from stages.models.model import LM

CONFIG = "config.json"


def base_model_id(lm: LM) -> dict:
    """Name, fingerprint and shapes of the base model. It hashes the current weights: call it before training changes
    them."""
    shapes = {site: asdict(shape) for site, shape in lm.shapes.items()}
    return {"base_model": lm.name, "base_model_fingerprint": lm.fingerprint(), "shapes": shapes}


def check_belongs(directory: Path, lm: LM, identity: dict | None = None) -> dict:
    """The config of the run in `directory`. Raises UserError if there is none or its base model is not `lm`.

    `identity`: the model's `base_model_id`, for a model whose weights have been converted since it was loaded.
    """
    try:
        config = read_json(directory / CONFIG)
        # Not by its name: a copy in a directory is the same model.
        identity = base_model_id(lm) if identity is None else identity
        own = {key: value for key, value in identity.items() if key != "base_model"}
        differing = [(key, config[key], value) for key, value in own.items() if config[key] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory} holds no trained run ({error})") from error
    for key, found, expected in differing:
        raise UserError(f"{directory} is of another model: its {key} is {found}, that of {lm.name} is {expected}")
    return config
