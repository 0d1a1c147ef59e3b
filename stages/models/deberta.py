"""DeBERTa's attention with a prefix. transformers computes it inside the module, not by its attention interface.

Words attend to a prefix by content only: a prefix has no distance, as in T5. Covers both versions of the architecture.
"""

from functools import partial
from types import MethodType

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.models.deberta.modeling_deberta import DisentangledSelfAttention as First
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention as Second

from stages.core.errors import UserError
from stages.models.attention import NAME


def take_prefixes(model: PreTrainedModel) -> bool:
    """Replace the forward pass of a DeBERTa's attention modules; returns False for other models.

    Raises UserError for talking heads.
    """
    found = False
    for module in model.modules():
        if isinstance(module, First | Second):
            if getattr(module, "talking_head", False):
                raise UserError("DeBERTa with talking heads is not supported")
            parts = _parts_of_first if isinstance(module, First) else _parts_of_second
            module.forward = partial(MethodType(_forward, module), parts)
            found = True
    return found


def give_back(model: PreTrainedModel) -> None:
    """Undo `take_prefixes`."""
    for module in model.modules():
        if isinstance(module, First | Second):
            module.__dict__.pop("forward", None)


def _heads(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """[batch, length, width] -> [batch, heads, length, head_dim]"""
    return x.unflatten(-1, (module.num_attention_heads, -1)).transpose(1, 2)


def _parts_of_first(module: First, hidden: torch.Tensor, distances, vectors) -> tuple[torch.Tensor, ...]:
    """Query (scaled), key, value [batch, heads, length, head_dim] and the bias by distance, for version 1."""
    query, key, value = _heads(module, module.in_proj(hidden)).chunk(3, dim=-1)
    query = query + _heads(module, module.q_bias[None, None])
    value = value + _heads(module, module.v_bias[None, None])
    factor = 1 + len(module.pos_att_type)
    query = query / (query.shape[-1] * factor) ** 0.5
    if not module.relative_attention:
        return query, key, value, None
    return query, key, value, module.disentangled_att_bias(query, key, distances, module.pos_dropout(vectors), factor)


def _parts_of_second(module: Second, hidden: torch.Tensor, distances, vectors) -> tuple[torch.Tensor, ...]:
    """The same for versions 2 and 3, which compute the bias with batch and heads in one dimension."""
    parts = (module.query_proj(hidden), module.key_proj(hidden), module.value_proj(hidden))
    query, key, value = (_heads(module, part) for part in parts)
    factor = 1 + sum(kind in module.pos_att_type for kind in ("c2p", "p2c"))
    bias = None
    if module.relative_attention:
        flat = (query.flatten(0, 1), key.flatten(0, 1))  # [batch * heads, length, head_dim]
        bias = module.disentangled_attention_bias(*flat, distances, module.pos_dropout(vectors), factor)
        bias = bias.unflatten(0, query.shape[:2])  # [batch, heads, length, length]
    return query / (query.shape[-1] * factor) ** 0.5, key, value, bias


def _forward(
    module: nn.Module,
    parts,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor,
    output_attentions: bool = False,
    query_states: torch.Tensor | None = None,
    relative_pos: torch.Tensor | None = None,
    rel_embeddings: torch.Tensor | None = None,
) -> tuple[torch.Tensor, None]:
    """The module's own output [batch, length, width], with the attached prefix."""
    query, key, value, bias = parts(module, hidden_states, relative_pos, rel_embeddings)
    seen = attention_mask.bool().any(-2, keepdim=True)  # [batch, 1, 1, length]: padding, too, may see the text
    attend = AttentionInterface()[NAME]
    dropout = module.dropout.p if module.training else 0.0
    output, _ = attend(module, query, key, value, seen, position_bias=bias, scaling=1.0, dropout=dropout)
    return output.flatten(2), None  # [batch, length, heads, head_dim] -> [batch, length, width]
