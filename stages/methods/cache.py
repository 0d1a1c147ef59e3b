"""A prefix is a cache: keys and values that no token produced, `[runs, layers, 2, kv_heads, len, head_dim]`.

K runs (subsets, seeds, users) stand in one tensor; each row of a batch attends to its own run's
prefix (paper, section 8.2). Masks, positions and decoding know nothing of a method but this.
"""

import torch
from transformers import DynamicCache

from stages.engine.model import FrozenLM, Shape


def prefix_cache(prefix: torch.Tensor, runs: torch.Tensor) -> DynamicCache:
    """A fresh cache in which row `i` of the batch holds the prefix of run `runs[i]`; `runs` is [batch]."""
    # [batch, layers, 2, kv_heads, len, head_dim]; not prefix[runs], whose gradient is summed in no fixed order.
    rows = prefix.expand(len(runs), *prefix.shape[1:]) if len(prefix) == 1 else prefix.index_select(0, runs)
    cache = DynamicCache()
    for layer in range(rows.shape[1]):
        cache.update(rows[:, layer, 0], rows[:, layer, 1], layer)
    return cache


def empty_prefix(shape: Shape, runs: int = 1) -> torch.Tensor:
    """The prefix of the frozen model as it is: length 0."""
    return torch.zeros(runs, shape.layers, 2, shape.kv_heads, 0, shape.head_dim)


@torch.no_grad()
def activations(lm: FrozenLM, ids: list[int]) -> torch.Tensor:
    """Keys and values `[layers, 2, kv_heads, len, head_dim]` that the frozen model computes for a text."""
    cache = lm.model(input_ids=torch.tensor([ids], device=lm.device), use_cache=True).past_key_values
    return torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers])
