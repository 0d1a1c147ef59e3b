"""Attention for pretraining on a CPU: three batched products and a softmax, in the type of its inputs.

torch's own CPU kernels spend most of a step in the backward pass of attention. At a few hundred tokens the scores fit
into memory, and plain matrix products of bfloat16 are several times faster. Only how a model is computed changes:
what it saves is an ordinary transformers directory.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

NAME = "products"
# Added to the scores of forbidden keys. Finite, so that a query without any key gives no NaN.
FORBIDDEN = -1e4


class _Products(torch.autograd.Function):
    """softmax(query keyᵀ + mask) value, with the probabilities kept for the backward pass."""

    @staticmethod
    def forward(ctx, query, key, value, scores):
        """[rows * heads, length, head] each; `scores` [rows * heads, queries, keys]: the mask, overwritten; or None."""
        scores = torch.bmm(query, key.mT) if scores is None else scores.baddbmm_(query, key.mT)
        probabilities = torch.softmax(scores, -1)
        ctx.save_for_backward(query, key, value, probabilities)
        return torch.bmm(probabilities, value)

    @staticmethod
    def backward(ctx, gradient):
        query, key, value, probabilities = ctx.saved_tensors
        of_probabilities = torch.bmm(gradient, value.mT)
        of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, probabilities.dtype)
        return (
            torch.bmm(of_scores, key),
            torch.bmm(of_scores.mT, query),
            torch.bmm(probabilities.mT, gradient),
            None,
        )


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """[rows, heads, queries, head] from tensors of that shape; `mask` [rows or 1, 1, queries or 1, keys] is added.

    As F.scaled_dot_product_attention, save that every step is in the type of the inputs, the softmax too.
    """
    rows, heads, queries, head = query.shape
    query, key, value = (part.reshape(rows * heads, -1, head) for part in (query * scaling, key, value))
    scores = None
    if mask is not None:  # a copy in any case, for the products are added to it in place
        scores = mask.expand(rows, heads, queries, -1).clone(memory_format=torch.contiguous_format)
        scores = scores.view(rows * heads, queries, -1)
    with torch.autocast("cpu", enabled=False):  # it would widen the softmax
        return _Products.apply(query, key, value, scores).view(rows, heads, queries, head)


def causal_mask(queries: int, keys: int, dtype: torch.dtype) -> torch.Tensor:
    """[1, 1, queries, keys] to add to scores: a query sees no key after it."""
    return torch.full((queries, keys), FORBIDDEN, dtype=dtype).triu(1)[None, None]


def _forward(module, query, key, value, attention_mask, *, dropout=0.0, scaling=None, is_causal=None, **_):
    """As transformers calls it: the output is [rows, queries, heads, head]. Raises ValueError for a dropout."""
    if dropout:
        raise ValueError("this attention has no dropout")
    causal = module.is_causal if is_causal is None else is_causal
    if attention_mask is None and causal:
        attention_mask = causal_mask(query.shape[2], key.shape[2], query.dtype)
    elif attention_mask is not None:
        attention_mask = attention_mask.to(query.dtype)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query, key, value, attention_mask, scaling).transpose(1, 2), None


def _mask(*arguments, **options) -> torch.Tensor | None:
    """What transformers masks for `sdpa`, to be added: [rows, 1, queries, keys]; None where nothing is masked."""
    allowed = sdpa_mask(*arguments, **options)
    if allowed is None:
        return None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, FORBIDDEN)


def use(model: PreTrainedModel) -> None:
    """Let `model` compute its attention so, until it is loaded again."""
    AttentionInterface.register(NAME, _forward)
    AttentionMaskInterface.register(NAME, _mask)
    model.set_attn_implementation(NAME)
