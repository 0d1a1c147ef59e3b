"""Attention in front of which a prefix can stand, for encoder-decoder models.

Their encoders know no past key values, and their decoders would count a prefix as positions. So the model
computes attention by `attend`, transformers' own sdpa, with the prefix of the module joined on: in the encoder,
in the decoder and across alike. Positions stay those of the tokens (authors' seq2seq code); T5's position bias is 0.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stages.engine.steering import rows_of

NAME = "sdpa_with_prefix"
_ATTRIBUTE = "prefix_rows"  # of a module: its keys and values, [batch, 2, kv_heads, len, head_dim]


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    position_bias: torch.Tensor | None = None,
    **options,
) -> tuple[torch.Tensor, None]:
    """transformers' interface; `key` and `value` are [batch, kv_heads, length, head_dim]."""
    rows = getattr(module, _ATTRIBUTE, None)
    if rows is not None:
        key, value = torch.cat([rows[:, 0], key], 2), torch.cat([rows[:, 1], value], 2)
        attention_mask = nn.functional.pad(attention_mask, (rows.shape[3], 0), value=True)
        if position_bias is not None:
            position_bias = nn.functional.pad(position_bias, (rows.shape[3], 0))
    return sdpa_attention_forward(module, query, key, value, attention_mask, position_bias=position_bias, **options)


def _whole_mask(*arguments, **options) -> torch.Tensor:
    """A mask even where attention could do without: a prefix may have to be joined to it."""
    return sdpa_mask(*arguments, **(options | {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}))


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _whole_mask)


@contextlib.contextmanager
def prefixed(
    places: Mapping[str, Sequence[nn.Module]], prefixes: Mapping[str, torch.Tensor], runs: torch.Tensor
) -> Iterator[None]:
    """Within the block, row `i` of a batch attends to the prefixes of run `runs[i]`; `places` names the modules by layer.

    `prefixes` are [runs, layers, 2, kv_heads, len, head_dim] by place.
    """
    changed = []
    for place, prefix in prefixes.items():
        rows = rows_of(prefix, runs)
        for layer, module in enumerate(places[place]):
            setattr(module, _ATTRIBUTE, rows[:, layer])
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            delattr(module, _ATTRIBUTE)


@contextlib.contextmanager
def observed() -> Iterator[list[tuple[nn.Module, torch.Tensor, torch.Tensor]]]:
    """Within the block, the list grows by (module, keys, values) of each attention that is computed."""
    seen: list = []

    def observe(module: nn.Module, query, key, value, *rest, **options):
        seen.append((module, key, value))
        return attend(module, query, key, value, *rest, **options)

    AttentionInterface.register(NAME, observe)
    try:
        yield seen
    finally:
        AttentionInterface.register(NAME, attend)
