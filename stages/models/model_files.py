"""Checks of a model's files before transformers opens them. Each error says what to do."""

from pathlib import Path

from transformers import CONFIG_MAPPING, PreTrainedConfig

from stages.core.errors import UserError
from stages.core.files import read_json

_CONFIG = "config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_CONVERT = "open it where it can be opened, and write it with `save_pretrained(DIR)`, which writes safetensors"
# Weights in other forms, by suffix.
_OTHERS = {
    ".gguf": "GGUF: name the file itself as the model",
    **dict.fromkeys((".bin", ".pt", ".pth"), f"pickled weights, which can run code when they are opened: {_CONVERT}"),
    ".h5": f"TensorFlow's weights: {_CONVERT}",
    ".msgpack": f"Flax's weights: {_CONVERT}",
}


def check_directory(directory: Path) -> None:
    """Raises UserError unless a directory has a config and all of its weights as safetensors."""
    if not any(directory.iterdir()):
        raise UserError(f"{directory} is empty: a model is {_CONFIG}, {_WEIGHTS} and the files of its tokenizer")
    for path in sorted(directory.iterdir()):
        if path.is_file() and _begins(path, _POINTER):
            raise UserError(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in {directory}")
    if not (directory / _CONFIG).is_file():
        if (directory / "adapter_config.json").is_file():
            raise UserError(
                f"{directory} holds a PEFT adapter, not a model: merge it into its base model "
                "(`merge_and_unload()`) and write that with `save_pretrained`"
            )
        raise UserError(f"{directory} holds no {_CONFIG}" + _instead(directory))
    if (directory / _WEIGHTS).is_file():
        return
    if not (directory / _INDEX).is_file():
        raise UserError(f"{directory} holds no {_WEIGHTS}" + _instead(directory))
    _check_shards(directory)


def _check_shards(directory: Path) -> None:
    """Raises UserError unless all files that the index names are there."""
    index = directory / _INDEX
    try:
        named = sorted(set(read_json(index)["weight_map"].values()))
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is no index of safetensors files: download it again") from error
    lost = [name for name in named if not (directory / str(name)).is_file()]
    if lost:
        raise UserError(f"{directory} lacks {lost[0]}, {len(lost)} of {len(named)} files of weights: download them")


def _instead(directory: Path) -> str:
    """End of an error message: which other weights the directory has, or what a model's directory needs."""
    for suffix, cure in _OTHERS.items():
        for path in sorted(directory.glob(f"*{suffix}")):
            return f", but {path.name}: {cure}"
    return f": a model is {_CONFIG}, {_WEIGHTS} and the files of its tokenizer"


def _begins(path: Path, start: bytes) -> bool:
    with open(path, "rb") as data:
        return data.read(len(start)) == start


def check_config(directory: str, name: str, revision: str) -> None:
    """Raises UserError if a model's config.json rules it out: not an object, unknown architecture, own code,
    quantized.

    Errors of transformers, such as a missing config, are passed on.
    """
    config, _ = PreTrainedConfig.get_config_dict(directory, revision=revision)
    if not isinstance(config, dict):
        raise UserError(f"the {_CONFIG} of model {name} is no object: a model's begins with `{{`")
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise UserError(f"the {_CONFIG} of model {name} has no `model_type`: is it the config of a transformers model?")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in config:
            raise UserError(
                f"model {name} ({kind}) comes with code of its own, and that is never run here: "
                "take a model of an architecture that transformers itself has"
            )
        raise UserError(f"model {name} is of an architecture, {kind}, that this version of transformers does not have")
    if config.get("quantization_config"):
        quantization = config["quantization_config"]
        method = quantization.get("quant_method", "unknown") if isinstance(quantization, dict) else "unknown"
        raise UserError(
            f"model {name} is quantized ({method}), and quantized weights are not supported: take the model that it "
            "was made from, or write it dequantized (`model.dequantize()`, then `save_pretrained`)"
        )
