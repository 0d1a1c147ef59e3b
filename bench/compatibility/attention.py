"""Attention written out, with keys and values of one's own before those of a text: the reference for models without a cache.

The models call it by transformers' attention interface, with the additive masks of its eager attention.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

NAME = "written_out"
_before: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    position_bias: torch.Tensor | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """All are [batch, heads, length, head_dim], of keys and values perhaps fewer heads; what stands before a text has no bias
    and no mask."""
    columns = 0
    if module in _before:
        keys, values = (part.expand(len(key), -1, -1, -1) for part in _before[module])
        columns, key, value = keys.shape[2], torch.cat([keys, key], 2), torch.cat([values, value], 2)
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    for added in (position_bias, attention_mask):
        if added is not None:
            scores = scores + F.pad(added, (columns, 0))
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)


@contextlib.contextmanager
def standing_before(model: PreTrainedModel, prefixes: Mapping[nn.Module, torch.Tensor]) -> Iterator[None]:
    """Within the block, `prefixes` [2, heads, len, head_dim] stand before what the modules read."""
    model.set_attn_implementation(NAME)
    _before.update({module: (prefix[0][None], prefix[1][None]) for module, prefix in prefixes.items()})
    try:
        yield
    finally:
        _before.clear()
        model.set_attn_implementation("eager")


def attentions(model: PreTrainedModel, **inputs: torch.Tensor) -> list[nn.Module]:
    """The modules that attend by the interface, in the order in which they do."""
    found: list[nn.Module] = []

    def observe(module: nn.Module, *arguments, **options):
        found.append(module)
        return attend(module, *arguments, **options)

    AttentionInterface.register(NAME, observe)
    model.set_attn_implementation(NAME)
    try:
        model(**inputs)
    finally:
        AttentionInterface.register(NAME, attend)
        model.set_attn_implementation("eager")
    return found
