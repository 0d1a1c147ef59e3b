"""Attention in front of which a prefix can stand: models compute it by `attend`, transformers' own sdpa, or as that does.

Encoders of encoder-decoder models know no past key values, and their decoders would count a prefix as positions. So
the prefix of a module is joined on here: in the encoder, in the decoder and across uniform_length. Positions stay those of the
tokens (authors' seq2seq code); T5's position bias is 0.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stages.models.adaptation import Adaptation, rows_of
from stages.models.attached import PREFIX, attached

NAME = "attention_with_prefix"  # transformers refuses names of sdpa for models such as Gemma 2
MOST = 256  # of a text's tokens, where attention keeps its scores


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    position_bias: torch.Tensor | None = None,
    distances: torch.Tensor | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **options,
) -> tuple[torch.Tensor, None]:
    """transformers' interface; `key` and `value` are [batch, kv_heads, length, head_dim].

    `attention_mask` [batch or 1, heads or 1, queries, keys] is True for what is seen, or is added to the scores. `distances`
    [batch, 1, queries or 1, keys], of a query from a key, are given where a text may be longer than a layer's window.
    Scores are kept within `softcap` (Gemma 2), and compete with `s_aux` [heads], a sink that has no value (GPT-OSS).
    """
    held = getattr(module, PREFIX, None)
    if held is not None:
        rows, visible = held
        before = rows.to(key.dtype).expand(len(key), *rows.shape[1:])
        key, value = torch.cat([before[:, 0], key], 2), torch.cat([before[:, 1], value], 2)
        seen = attention_mask.dtype == torch.bool  # the value of what is seen: True, or 0 to be added
        attention_mask = nn.functional.pad(attention_mask, (rows.shape[3], 0), value=seen)
        if visible is not None:
            text = key.shape[2] - rows.shape[3]
            attention_mask = _narrowed(attention_mask, nn.functional.pad(visible, (0, text), value=True)[:, None, None])
        if position_bias is not None:
            position_bias = nn.functional.pad(position_bias, (rows.shape[3], 0))
    if sliding_window is not None and distances is not None:
        attention_mask = _narrowed(attention_mask, distances < sliding_window)
    if query.requires_grad:
        query = query.contiguous()  # a view would keep the keys and values it was split from, which were copied
    if softcap is not None or s_aux is not None:
        options |= {"softcap": softcap, "sinks": s_aux}
        return _by_products(module, query, key, value, attention_mask, position_bias, **options)
    in_bf16 = query.device.type == "cpu" and query.dtype == torch.bfloat16
    trains = query.requires_grad and query.shape[2] <= MOST
    compute = _by_products if in_bf16 and trains else sdpa_attention_forward
    return compute(module, query, key, value, attention_mask, position_bias=position_bias, **options)


def _narrowed(mask: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """A mask, of either kind, of what is also `seen`."""
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, torch.finfo(mask.dtype).min)


def _by_products(
    _module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    position_bias: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """What sdpa computes, [batch, length, heads, head_dim], and what it does not: capped scores, and sinks.

    Its fused kernel's backward pass of bf16 takes a CPU up to four times as long. Scores are rounded to bf16, as by
    transformers' eager attention; their softmax is of fp32, and kept for the backward pass.
    """
    key, value = (repeat_kv(part, query.shape[1] // part.shape[1]).contiguous() for part in (key, value))
    scores = (query @ key.mT).float() * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if position_bias is not None:
        scores = scores + position_bias
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    if sinks is not None:
        beside = sinks.float().view(1, -1, 1, 1).expand(len(scores), -1, scores.shape[2], -1)
        scores = torch.cat([scores, beside], -1)
    weights = nn.functional.dropout(scores.softmax(-1)[..., : key.shape[2]], dropout)
    return (weights.to(value.dtype) @ value).transpose(1, 2), None


def _whole_mask(*arguments, **options) -> torch.Tensor:
    """A mask even where attention could do without: a prefix may have to be joined to it."""
    return sdpa_mask(*arguments, **(options | {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}))


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _whole_mask)


@contextlib.contextmanager
def prefixed(places: Mapping[str, Sequence[nn.Module]], adaptation: Adaptation, runs: torch.Tensor) -> Iterator[None]:
    """Within the block, row `i` of a batch attends to the prefixes of run `runs[i]`; `places` names the modules by layer."""
    visible, held = adaptation.visible(runs), dict[tuple[nn.Module, str], object]()
    for place, prefix in adaptation.prefixes.items():
        rows = prefix if len(prefix) == 1 else rows_of(prefix, runs)  # [batch or 1, layers, 2, kv_heads, len, head_dim]
        layers = zip(places[place], rows.unbind(1), strict=True)
        held |= {(module, PREFIX): (layer, visible) for module, layer in layers}
    with attached(held):
        yield


class Observed(NamedTuple):
    """An attention as it is computed: keys and values [batch, kv_heads, length, head_dim], and its window, if it has one."""

    module: nn.Module
    keys: torch.Tensor
    values: torch.Tensor
    window: int | None
    knows_distances: bool  # whether the model hands on what a window needs


@contextlib.contextmanager
def record_attention() -> Iterator[list[Observed]]:
    """Within the block, the list grows by each attention that is computed."""
    seen: list[Observed] = []

    def observe(module: nn.Module, query, key, value, *rest, **options):
        seen.append(Observed(module, key, value, options.get("sliding_window"), options.get("distances") is not None))
        return attend(module, query, key, value, *rest, **options)

    AttentionInterface.register(NAME, observe)
    try:
        yield seen
    finally:
        AttentionInterface.register(NAME, attend)
