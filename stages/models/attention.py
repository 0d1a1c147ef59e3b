"""Attention with a prefix: models compute it by `attend`, which uses transformers' sdpa or computes the same.

Encoders of encoder-decoder models have no key-value cache, and their decoders would count a prefix as positions. So
the prefix is concatenated here at all three sites: encoder, decoder and cross-attention. Token positions do not change
(authors' seq2seq code); T5's position bias is 0 for a prefix.
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
MOST = 256  # tokens in a text up to which training in bf16 on a CPU keeps the scores (`_by_products`)


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
    """Attention in transformers' interface, with the prefix attached to the module, if there is one.

    - `query` [batch, heads, queries, head_dim], `key` and `value` [batch, kv_heads, keys, head_dim].
    - `attention_mask` [batch or 1, heads or 1, queries, keys]: True for visible keys, or floats that are added to the
      scores.
    - `position_bias` [batch or 1, heads, queries, keys]: added to the scores (T5).
    - `distances` [batch, 1, queries or 1, keys]: of query from key; given if a text may be longer than
      `sliding_window`.
    - `softcap` limits the scores (Gemma 2); `s_aux` [heads] are sinks, scores without a value (GPT-OSS).

    Returns [batch, queries, heads, head_dim] and None (no weights).
    """
    prefix = getattr(module, PREFIX, None)
    if prefix is not None:
        rows, visible = prefix
        before = rows.to(key.dtype).expand(len(key), *rows.shape[1:])  # [batch, 2, kv_heads, len, head_dim]
        key, value = torch.cat([before[:, 0], key], 2), torch.cat([before[:, 1], value], 2)
        seen = attention_mask.dtype == torch.bool  # mask value of a visible key: True, or 0 to be added
        attention_mask = nn.functional.pad(attention_mask, (rows.shape[3], 0), value=seen)
        if visible is not None:
            text = key.shape[2] - rows.shape[3]
            attention_mask = _narrowed(attention_mask, nn.functional.pad(visible, (0, text), value=True)[:, None, None])
        if position_bias is not None:
            position_bias = nn.functional.pad(position_bias, (rows.shape[3], 0))
    if sliding_window is not None and distances is not None:
        attention_mask = _narrowed(attention_mask, distances < sliding_window)
    if query.requires_grad:
        query = query.contiguous()  # a view would keep the keys and values in memory
    # Fine-tuning in bf16 turns autocast on; its queries may be fp32 here.
    in_bf16 = query.device.type == "cpu" and (query.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu"))
    by_products = softcap is not None or s_aux is not None
    if by_products:
        options |= {"softcap": softcap, "sinks": s_aux}
    by_products = by_products or (in_bf16 and query.requires_grad and query.shape[2] <= MOST)
    compute = _by_products if by_products else sdpa_attention_forward
    heads, kv_heads = query.shape[1], key.shape[1]
    if heads == kv_heads or position_bias is not None or s_aux is not None or attention_mask.shape[1] > 1:
        return compute(module, query, key, value, attention_mask, position_bias=position_bias, **options)
    query, attention_mask = _grouped(query, attention_mask, kv_heads)
    # Without the module, transformers does not repeat keys and values for each query head.
    found, _ = compute(None, query, key, value, attention_mask, **options)
    return _ungrouped(found, heads), None


def _grouped(query: torch.Tensor, mask: torch.Tensor, kv_heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grouped-query attention: the heads that share keys and values become further queries of one head.

    `query` [batch, heads, queries, head_dim] -> [batch, kv_heads, group * queries, head_dim];
    `mask` [batch or 1, 1, queries, keys] -> [batch or 1, 1, group * queries, keys].
    """
    batch, heads, _, head_dim = query.shape
    return query.reshape(batch, kv_heads, -1, head_dim), mask.repeat(1, 1, heads // kv_heads, 1)


def _ungrouped(found: torch.Tensor, heads: int) -> torch.Tensor:
    """The inverse for the result: [batch, group * queries, kv_heads, head_dim] -> [batch, queries, heads, head_dim]."""
    batch, _, kv_heads, head_dim = found.shape
    split = found.view(batch, heads // kv_heads, -1, kv_heads, head_dim)  # [batch, group, queries, kv_heads, head_dim]
    return split.permute(0, 2, 3, 1, 4).reshape(batch, -1, heads, head_dim)


def _narrowed(mask: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """A boolean or additive mask, restricted to the keys that `seen` allows."""
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, torch.finfo(mask.dtype).min)


def _by_products(
    _module: nn.Module | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    position_bias: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """Attention as two matrix products, [batch, queries, heads, head_dim]: as sdpa, plus soft-capped scores and sinks.

    On a CPU the backward pass of sdpa's fused bf16 kernel takes up to four times as long. Scores are rounded to bf16
    as in transformers' eager attention; their softmax is fp32 and kept for the backward pass.
    """
    key, value = (repeat_kv(part, query.shape[1] // part.shape[1]).contiguous() for part in (key, value))
    scores = (query @ key.mT).float() * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if position_bias is not None:
        scores = scores + position_bias
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, -torch.inf)
    scores = scores.add_(mask)  # in place, and without a backward pass: a third of the time of masking the scores
    if sinks is not None:
        # [heads] -> [batch, heads, queries, 1]
        beside = sinks.float().view(1, -1, 1, 1).expand(len(scores), -1, scores.shape[2], -1)
        scores = torch.cat([scores, beside], -1)
    weights = nn.functional.dropout(scores.softmax(-1)[..., : key.shape[2]], dropout)
    return (weights.to(value.dtype) @ value).transpose(1, 2), None  # [batch, queries, heads, head_dim]


def _whole_mask(*arguments, **options) -> torch.Tensor:
    """The full mask even where sdpa could do without one: the prefix may have to be added to it."""
    return sdpa_mask(*arguments, **(options | {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}))


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _whole_mask)


@contextlib.contextmanager
def prefixed(sites: Mapping[str, Sequence[nn.Module]], adaptation: Adaptation, runs: torch.Tensor) -> Iterator[None]:
    """Within the block, row `i` of a batch attends to the prefixes of run `runs[i]`; `runs` is [batch].

    `sites` lists the attention modules of each site, layer by layer.
    """
    visible, parts = adaptation.visible(runs), dict[tuple[nn.Module, str], object]()
    for site, prefix in adaptation.prefixes.items():
        rows = prefix if len(prefix) == 1 else rows_of(prefix, runs)  # [batch or 1, layers, 2, kv_heads, len, head_dim]
        layers = zip(sites[site], rows.unbind(1), strict=True)
        parts |= {(module, PREFIX): (layer, visible) for module, layer in layers}
    with attached(parts):
        yield


class Observed(NamedTuple):
    """One computed attention: keys and values [batch, kv_heads, length, head_dim], and its sliding window, if any."""

    module: nn.Module
    keys: torch.Tensor
    values: torch.Tensor
    window: int | None
    knows_distances: bool  # whether the model passes `distances` on


@contextlib.contextmanager
def record_attention() -> Iterator[list[Observed]]:
    """Within the block, each computed attention is appended to the list."""
    seen: list[Observed] = []

    def observe(module: nn.Module, query, key, value, *rest, **options):
        seen.append(Observed(module, key, value, options.get("sliding_window"), options.get("distances") is not None))
        return attend(module, query, key, value, *rest, **options)

    AttentionInterface.register(NAME, observe)
    try:
        yield seen
    finally:
        AttentionInterface.register(NAME, attend)
