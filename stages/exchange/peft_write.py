"""A trained run as an adapter of PEFT: what its adapter_config.json and adapter_model.safetensors hold.

PEFT itself is not needed. Keys and values lie in `prompt_embeddings` position by position, each flattened as
[layers, keys and values, kv_heads, head_dim]. The product of a low-rank update is stored with its factor alpha / rank,
so an exported update has lora_alpha = r, the factor 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from stages.core.errors import UserError
from stages.exchange.keys_values import keys_values_of
from stages.methods import lora
from stages.methods.prefix import flatten
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.adaptation import DECODER, Adaptation
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder import Encoder
from stages.models.model import LM

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PROMPT = "prompt_embeddings"  # PEFT's name of the one tensor of a prefix or a prompt
ROOT = "base_model.model."  # what PEFT's names of layers begin with
# What PEFT has no place for. Not in the metadata of the tensor file: several of them are written in no fixed order.
ORIGIN, FINGERPRINT = "origin.json", "base_model_fingerprint"


@dataclass(frozen=True)
class PeftAdapter:
    """The content of a PEFT directory.

    `config`: of adapter_config.json, without what names the base model; `tensors`: of adapter_model.safetensors.
    `reads_begin`: whether a text is given with the token that begins it; otherwise the adapter itself has the token.
    """

    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    reads_begin: bool


def adapter_of(lm: LM, method: str, adaptation: Adaptation, state: Mapping[str, torch.Tensor]) -> PeftAdapter:
    """The PEFT adapter of one trained run: its `adaptation` of `lm`, and the tensors [1, ...] that it saved.

    Raises UserError, which says why, if PEFT has no form for the run.
    """
    if method not in _FORMS:
        reason = _REASONS.get(method, "PEFT has no such method")
        raise UserError(f"a run of {method} cannot become a PEFT adapter: {reason}; runs of {', '.join(_FORMS)} can")
    if isinstance(lm, Encoder):
        raise UserError(
            f"a run on the encoder {lm.name} cannot become a PEFT adapter: its head, which scores classes, is no part "
            "of PEFT's methods"
        )
    return _FORMS[method](lm, method, adaptation, state)


def _prefix(lm: LM, method: str, adaptation: Adaptation, _: Mapping[str, torch.Tensor]) -> PeftAdapter:
    if not isinstance(lm, DecoderOnly):
        raise UserError(
            f"a prefix of the encoder-decoder {lm.name} cannot become a PEFT adapter: it stands at three attention "
            "sites (encoder, decoder, cross-attention), PEFT's only at the decoder's"
        )
    keys_values = keys_values_of(lm, adaptation, method)
    shape = lm.shapes[DECODER]
    config = _learned("PREFIX_TUNING", lm, keys_values.shape[3], shape.kv_heads * shape.head_dim)
    config |= {"encoder_hidden_size": config["token_dim"], "prefix_projection": False}
    return PeftAdapter(config, {PROMPT: flatten(keys_values)}, reads_begin=False)


def _prompt(lm: LM, _: str, __: Adaptation, state: Mapping[str, torch.Tensor]) -> PeftAdapter:
    vectors = state[EMBEDDINGS][0].float()
    if isinstance(lm, DecoderOnly) and lm.begin:  # the begin token comes first here, and after the prompt in PEFT
        vectors = torch.cat([lm.embed(lm.begin).float().cpu(), vectors])
    config = _learned("PROMPT_TUNING", lm, *vectors.shape) | {"prompt_tuning_init": "RANDOM"}
    return PeftAdapter(config, {PROMPT: vectors}, reads_begin=False)


def _lora(lm: LM, _: str, __: Adaptation, state: Mapping[str, torch.Tensor]) -> PeftAdapter:
    tensors = {f"{ROOT}{name}": tensor[0] for name, tensor in state.items()}
    layers = sorted(name.removesuffix(f".{lora.A}") for name in state if name.endswith(lora.A))
    rank = len(state[f"{layers[0]}.{lora.A}"][0])
    conv = all(isinstance(lm.model.get_submodule(name), Conv1D) for name in layers)
    return PeftAdapter({
        "peft_type": "LORA", "task_type": _task(lm), "inference_mode": True, "r": rank, "lora_alpha": rank,
        "target_modules": _ends(lm, layers), "fan_in_fan_out": conv, "bias": "none", "lora_dropout": 0.0,
        "use_rslora": False, "use_dora": False,
    }, tensors, reads_begin=True)  # fmt: skip


def _ends(lm: LM, layers: list[str]) -> list[str]:
    """The last parts of the layers' names where these mean just these layers, as PEFT users write; else whole names."""
    ends = sorted({name.rpartition(".")[2] for name in layers})
    return ends if sorted(lora.layers_of(lm, ends)) == layers else layers


def _learned(kind: str, lm: LM, length: int, width: int) -> dict[str, Any]:
    shape = lm.shapes[DECODER]
    return {
        "peft_type": kind, "task_type": _task(lm), "inference_mode": True, "num_virtual_tokens": length,
        "token_dim": width, "num_transformer_submodules": 1, "num_attention_heads": shape.kv_heads,
        "num_layers": shape.layers,
    }  # fmt: skip


def _task(lm: LM) -> str:
    return "CAUSAL_LM" if isinstance(lm, DecoderOnly) else "SEQ_2_SEQ_LM"


_FORMS: dict[str, Callable[[LM, str, Adaptation, Mapping[str, torch.Tensor]], PeftAdapter]] = {
    "prefix": _prefix, "prompt_tuning": _prompt, "prompt_projection": _prompt, "embedding_only": _prompt, "lora": _lora,
}  # fmt: skip
_WEIGHTS = "it has trained the model's own weights, which no adapter holds"
_REASONS = {
    "apt": "gates weigh its prefix by what each layer reads, and PEFT's prefix is the same for every text",
    "infix": "its virtual tokens stand after the source, PEFT's before it",
    "in_context": "it is a text: put the text before the source",
    "adapter": "PEFT has no adapters after a block",
    "adapter_small": "PEFT has no adapters after a block",
    "finetune": _WEIGHTS,
    "ft_top2": _WEIGHTS,
    "linear_probe": "it is the head of an encoder",
    "none": "nothing is trained",
}
