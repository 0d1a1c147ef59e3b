"""An adapter that PEFT trained, as a run of this project. All of the directory comes from outside and is checked.

An option of PEFT that is on and that this engine does not compute is refused by its name.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stages.core.errors import UserError
from stages.core.files import read_json
from stages.core.tensors import read_tensors
from stages.exchange.keys_values import begin_keys_values
from stages.exchange.peft_write import CONFIG, FINGERPRINT, ORIGIN, PROMPT, ROOT, WEIGHTS
from stages.methods.lora import ALL, A, B, layers_of, size_of_layer
from stages.methods.parts.saved import check_finite
from stages.methods.prefix import size_of, unflatten
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.adaptation import DECODER
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder import Encoder
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.model import LM

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Options that change no number of a trained adapter, or that are checked below. Any other one must be off.
_COMMON = {
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
}  # fmt: skip
_PROMPT = {
    "num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers",
}  # fmt: skip
_LORA = {
    "r", "lora_alpha", "use_rslora", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "lora_dropout", "fan_in_fan_out", "bias", "init_lora_weights", "megatron_core", "qalora_group_size",
}  # fmt: skip
_SHOWN = 200  # characters of a value in a message
_MOST_ALPHA = 1e6
_STARTS = (True, False, "gaussian", "orthogonal")  # of LoRA's weights, those that leave the base model as it is


@dataclass(frozen=True)
class Imported:
    """A run out of a PEFT adapter: its method, tensors [1, ...] by name, and what its config says of it."""

    method: str
    state: dict[str, torch.Tensor]
    prefix_len: int | None
    options: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Adapter:
    """A PEFT directory that is being read. `same_weights`: its own record shows that it is of this base model."""

    directory: Path
    config: Mapping[str, Any]
    tensors: dict[str, torch.Tensor]
    same_weights: bool

    def error(self, key: str, reason: str) -> UserError:
        return UserError(f"{self.directory / CONFIG}: {key} is {_short(self.config.get(key))}: {reason}")

    def check_off(self, known: Collection[str]) -> None:
        """Raises UserError for the first option that is on and not `known`."""
        for key, value in self.config.items():
            if key not in known and value not in (None, False, "", [], {}):
                raise self.error(key, "this engine does not compute that")

    def whole(self, key: str, least: int = 1) -> int:
        """The value of a key that must be a whole number."""
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(key, f"must be a whole number of at least {least}")
        return value

    def prompt(self, rows: int, columns: int) -> torch.Tensor:
        """The tensor of a prefix or prompt, which must have these sizes."""
        if set(self.tensors) != {PROMPT} or list(self.tensors[PROMPT].shape) != [rows, columns]:
            found = {name: list(tensor.shape) for name, tensor in self.tensors.items()}
            raise UserError(
                f"{self.directory / WEIGHTS} holds {_short(found)}, where {CONFIG} and the model need "
                f"{{'{PROMPT}': {[rows, columns]}}}"
            )
        return self.tensors[PROMPT].float()


def _short(value: object) -> str:
    """A value from outside for a message: on one line, and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read(directory: Path, lm: LM, names: Collection[str]) -> Imported:
    """The adapter in `directory` as a run on `lm`, under one of whose `names` it was trained.

    An adapter that this project exported is known by the fingerprint of its base model instead.
    Raises UserError, one line, for whatever is wrong with the directory or cannot be computed here.
    """
    adapter = _open(directory, lm)
    config = adapter.config
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise adapter.error("peft_type", f"{', '.join(_KINDS)} can be imported")
    if isinstance(lm, Encoder):
        raise UserError(
            f"{lm.name} is an encoder: its head, which scores classes, is no part of PEFT's methods, and without it a "
            "run has no answer"
        )
    task = "CAUSAL_LM" if isinstance(lm, DecoderOnly) else "SEQ_2_SEQ_LM"
    if config.get("task_type") not in ((task, None) if kind == "LORA" else (task,)):
        raise adapter.error("task_type", f"{lm.name} needs {task}")
    named = config.get("base_model_name_or_path") or ""
    if not adapter.same_weights and named not in names:
        raise adapter.error(
            "base_model_name_or_path",
            f"it is to be {lm.name}: if both are the same weights, add --trained-on {named!r}",
        )
    return _KINDS[kind](adapter, lm)


def _open(directory: Path, lm: LM) -> _Adapter:
    """Read both files. Raises UserError if they are not there, are not what they should be, or are of another model."""
    file = directory / WEIGHTS
    if not file.is_file():
        raise UserError(
            f"{directory} holds no {WEIGHTS}: tensors are read from safetensors alone, because a .bin file can run "
            "code when it is opened"
        )
    config = read_json(directory / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{directory / CONFIG}: not a JSON object")
    tensors = read_tensors(file)
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise UserError(
                f"{file}: tensor {_short(name)} is {tensor.dtype}: must be torch.float32, torch.float16 or "
                "torch.bfloat16"
            )
    check_finite(file, tensors)
    return _Adapter(directory, config, tensors, _same_weights(directory, lm))


def _same_weights(directory: Path, lm: LM) -> bool:
    """Whether the adapter records that it is of the weights of `lm`. Raises UserError if it is of others."""
    file = directory / ORIGIN
    if not file.is_file():
        return False
    origin = read_json(file)
    said = origin.get(FINGERPRINT) if isinstance(origin, dict) else None
    if said != lm.fingerprint():
        raise UserError(
            f"{file} is of another model: its {FINGERPRINT} is {said}, that of {lm.name} is {lm.fingerprint()}"
        )
    return True


def _prefix(adapter: _Adapter, lm: LM) -> Imported:
    adapter.check_off(
        _COMMON | _PROMPT | {"init_weights", "encoder_hidden_size", "prefix_projection", "num_frozen_tokens"}
    )
    if not isinstance(lm, DecoderOnly):
        raise adapter.error(
            "peft_type",
            f"in the encoder-decoder {lm.name} it counts as positions of the target, and a prefix here does not",
        )
    shape, first = lm.shapes[DECODER], len(lm.begin)
    length = adapter.whole("num_virtual_tokens", first + 1)
    for key, value in (
        ("num_transformer_submodules", 1),
        ("num_layers", shape.layers),
        ("num_attention_heads", shape.kv_heads),
    ):
        if adapter.whole(key) != value:
            raise adapter.error(key, f"{lm.name} needs {value}")
    flat = adapter.prompt(length, size_of(shape))
    prefix = unflatten(flat[None], shape)  # [1, layers, 2, kv_heads, len, head_dim]
    _check_begin(lm, prefix[0, ..., :first, :], begin_keys_values(lm).cpu(), "keys and values")
    notes = ()
    frozen = adapter.whole("num_frozen_tokens", 0) if "num_frozen_tokens" in adapter.config else 0
    if frozen > first:
        notes = (f"{frozen - first} of its positions were frozen: a training that goes on here trains them too",)
    return Imported("prefix", {DECODER: prefix[..., first:, :].contiguous()}, length - first, {}, notes)


def _prompt(adapter: _Adapter, lm: LM) -> Imported:
    adapter.check_off(_COMMON | _PROMPT | {
        "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs",
    })  # fmt: skip
    if isinstance(lm, EncoderDecoder):
        lm.check_vectors()
    first = len(lm.begin) if isinstance(lm, DecoderOnly) else 0
    length, parts = adapter.whole("num_virtual_tokens", first + 1), adapter.whole("num_transformer_submodules")
    if parts > (2 if isinstance(lm, EncoderDecoder) else 1):
        raise adapter.error("num_transformer_submodules", f"not for {lm.name}")
    vectors = adapter.prompt(length * parts, lm.embedding_width)[:length]  # PEFT itself reads only the encoder's part
    if first:
        _check_begin(lm, vectors[:first], lm.embed(lm.begin).float().cpu(), "embedding")
    return Imported("prompt_tuning", {EMBEDDINGS: vectors[None, first:].contiguous()}, length - first, {})


def _check_begin(lm: DecoderOnly, found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Raises UserError unless the first positions of a prefix or prompt are those of the begin token, if there is
    one."""
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
        token = lm.tokenizer.decode(lm.begin)
        raise UserError(
            f"{lm.name} reads {token} before a prefix here and after it in PEFT, which is not the same: only an "
            f"adapter whose first position is the {what} of {token}, before others, can be imported"
        )


def _lora(adapter: _Adapter, lm: LM) -> Imported:
    adapter.check_off(_COMMON | _LORA)
    config, rank, alpha = adapter.config, adapter.whole("r"), adapter.config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= _MOST_ALPHA:
        raise adapter.error("lora_alpha", f"must be a number above 0 and of at most {_MOST_ALPHA:,.0f}")
    if config.get("bias", "none") != "none":
        raise adapter.error("bias", "this engine trains no biases of layers")
    if config.get("init_lora_weights", True) not in _STARTS:
        raise adapter.error("init_lora_weights", "such a start changes the base model's own weights")
    state, layers = {}, _updates(adapter, lm, rank)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    for name, (a, b) in layers.items():
        state |= {f"{name}.{A}": a[None], f"{name}.{B}": b[None] * scale}
    check_finite(adapter.directory / WEIGHTS, state)  # a large factor may have made infinite ones
    options = {"rank": rank, "alpha": scale * rank, "target_modules": list(layers)}
    return Imported("lora", state, None, {"lora": options})


def _updates(adapter: _Adapter, lm: LM, rank: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """A [rank, in] and B [out, rank] of each layer, by its name in the model, in the model's order."""
    file, found = adapter.directory / WEIGHTS, {}
    linear = layers_of(lm, ALL)
    for key in adapter.tensors:
        layer, dot, part = key.removeprefix(ROOT).rpartition(".lora_")
        if not key.startswith(ROOT) or f"lora_{part}" not in (A, B) or not dot:
            raise UserError(f"{file}: tensor {_short(key)} is no part of a low-rank update of a linear layer")
        if layer not in linear:
            raise UserError(
                f"{file}: tensor {_short(key)}: {lm.name} has no such linear layer, or it is the output matrix"
            )
    for layer, module in linear.items():
        pair = [adapter.tensors.get(f"{ROOT}{layer}.{part}") for part in (A, B)]
        if all(one is None for one in pair):
            continue
        width, out = size_of_layer(module)
        sizes = [None if one is None else list(one.shape) for one in pair]
        if sizes != [[rank, width], [out, rank]]:
            raise UserError(
                f"{file}: layer {layer} has A and B of sizes {sizes}, where r and {lm.name} need "
                f"{[[rank, width], [out, rank]]}"
            )
        found[layer] = (pair[0].float(), pair[1].float())
    if not found:
        raise UserError(f"{file} holds no tensors")
    return found


_KINDS: dict[str, Callable[[_Adapter, LM], Imported]] = {
    "PREFIX_TUNING": _prefix, "CARTRIDGE": _prefix, "PROMPT_TUNING": _prompt, "LORA": _lora,
}  # fmt: skip
