"""Keys and values of a decoder-only model's prefix, as a cache of transformers holds them.

This engine reads a model's begin token (Llama's `<s>`) before the prefix. No other library does, so the begin token's
own keys and values come first in what is exported: they are the same for every text and do not attend to the prefix.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from stages.core.errors import UserError
from stages.core.files import write_json
from stages.core.tensors import write_tensors
from stages.models.adaptation import DECODER, Adaptation
from stages.models.batches import Batch, Example
from stages.models.caches import KVRecorder
from stages.models.check import some_ids
from stages.models.decoder_only import DecoderOnly
from stages.models.model import LM

FILE, ABOUT = "kv.safetensors", "kv.json"
TENSOR = "keys_values"
# Relative to the largest logit, or to 10, as models are checked when they are opened.
_TOLERANCE = 1e-4
_LENGTHS = (12, 4)  # tokens of source and target of the text that is read as a check


@torch.no_grad()
def begin_keys_values(lm: DecoderOnly) -> torch.Tensor:
    """Keys and values of what begins every text, [layers, 2, kv_heads, len, head_dim]; `len` is 0 if nothing does."""
    shape = lm.shapes[DECODER]
    if not lm.begin:
        return torch.zeros(shape.layers, 2, shape.kv_heads, 0, shape.head_dim, device=lm.device)
    read = KVRecorder()
    lm.model(input_ids=torch.tensor([lm.begin], device=lm.device), past_key_values=read, use_cache=True)
    return read.as_prefix()[0]


@torch.no_grad()
def keys_values_of(lm: LM, adaptation: Adaptation, method: str) -> torch.Tensor:
    """The keys and values before every text, [layers, 2, kv_heads, len, head_dim], on the CPU.

    Those of the begin token come first, then those of the run's prefix.

    Raises UserError if the run is more than a prefix of a decoder-only model, or if transformers' own code does not
    compute with a cache of them what this engine does.
    """
    if not isinstance(lm, DecoderOnly):
        raise UserError(
            f"{lm.name} is no decoder-only model: keys and values of its attention ({', '.join(lm.shapes)}) fit no "
            "cache of transformers"
        )
    if set(adaptation.prefixes) != {DECODER} or not adaptation.read_once:
        raise UserError(f"a run of {method} is more than keys and values before the text: a cache cannot hold it")
    prefix = adaptation.prefixes[DECODER]
    found = torch.cat([begin_keys_values(lm), prefix[0].to(lm.dtype)], 3)
    _check(lm, adaptation, found)
    return found.float().cpu().contiguous()


def cache_of(keys_values: torch.Tensor) -> DynamicCache:
    """A cache for one text that starts with keys and values [layers, 2, kv_heads, len, head_dim]."""
    return DynamicCache([(layer[0][None], layer[1][None]) for layer in keys_values])


def _check(lm: DecoderOnly, adaptation: Adaptation, keys_values: torch.Tensor) -> None:
    source, target = (some_ids(lm, length, salt) for salt, length in enumerate(_LENGTHS))
    batch = Batch.of([Example([*lm.begin, *source], target)], [0], lm.device)
    ours = lm.logits(lm.target_hidden(batch, adaptation))
    ids = torch.tensor([[*source, lm.separator, *target[:-1]]], device=lm.device)
    mask = torch.ones(1, keys_values.shape[3] + ids.shape[1], dtype=torch.long, device=lm.device)
    with lm.own_attention():
        read = lm.model(input_ids=ids, attention_mask=mask, past_key_values=cache_of(keys_values))
    theirs = read.logits[0, len(source) :]
    apart = (ours - theirs).abs().max()
    if not apart <= _TOLERANCE * max(10.0, theirs.abs().max()):
        raise UserError(
            f"model {lm.name} does not compute the same in transformers' own code after a cache of this prefix: logits "
            f"differ by {apart:.2g}, so it cannot be exported"
        )


def write(out: Path, keys_values: torch.Tensor, about: Mapping[str, Any]) -> None:
    """Write the tensor and what it is into the directory `out`. Raises OSError if that fails."""
    write_tensors(out / FILE, {TENSOR: keys_values}, {"format": "pt"})
    layers, _, kv_heads, length, head_dim = keys_values.shape
    sizes = {"layers": layers, "kv_heads": kv_heads, "length": length, "head_dim": head_dim}
    layout = "[layers, keys and values, kv_heads, length, head_dim]"
    write_json(out / ABOUT, {"tensor": TENSOR, "layout": layout, "dtype": "float32", **sizes, **about})


IMPORTS = ("from safetensors.torch import load_file", "from transformers import DynamicCache")
USE = """
keys_values = load_file(f"{here}/kv.safetensors")["keys_values"]
cache = DynamicCache([(layer[0][None], layer[1][None]) for layer in keys_values])
cache.batch_repeat_interleave(5)  # one for each beam of one text; without beams leave it out
# `generate` skips as many ids as the cache holds: which ones stand there does not matter.
whole = [0] * keys_values.shape[3] + ids
"""
