"""What a method adds to a model's attention: prefixes by place, or an infix. Nothing of it: the model as it is.

A prefix is a cache: keys and values that no token produced, `[runs, layers, 2, kv_heads, len, head_dim]`.
K runs (subsets, seeds, users) stand in one tensor; each row of a batch attends to its own run's (paper,
section 8.2). Masks, positions and decoding know nothing of a method but this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

# The attentions that a prefix can stand in front of; a decoder-only model has the decoder's alone.
ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"


@dataclass(frozen=True)
class Infix:
    """Vectors read behind the source, `[runs, len, width]`, and what is added to their keys and values,
    `[runs, layers, 2, kv_heads, len, head_dim]` (section 7.2)."""

    embeddings: torch.Tensor
    offsets: torch.Tensor


@dataclass(frozen=True)
class Steering:
    """`prefixes` are `[runs, layers, 2, kv_heads, len, head_dim]` by place."""

    prefixes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    infix: Infix | None = None

    @property
    def length(self) -> int:
        """Positions that it takes: of the prefix, which in encoder-decoder models takes none of the text's, or the infix."""
        if self.infix is not None:
            return self.infix.embeddings.shape[1]
        return max((prefix.shape[4] for prefix in self.prefixes.values()), default=0)

    def of(self, run: int) -> "Steering":
        """That of one run alone."""
        infix = self.infix and Infix(self.infix.embeddings[run : run + 1], self.infix.offsets[run : run + 1])
        return Steering({place: prefix[run : run + 1] for place, prefix in self.prefixes.items()}, infix)


def rows_of(tensor: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
    """Row `i` is that of run `runs[i]`: [runs, ...] -> [batch, ...]."""
    # Not tensor[runs], whose gradient is summed in no fixed order.
    return tensor.expand(len(runs), *tensor.shape[1:]) if len(tensor) == 1 else tensor.index_select(0, runs)


def prefix_cache(prefix: torch.Tensor, runs: torch.Tensor) -> DynamicCache:
    """A fresh cache in which row `i` of the batch holds the prefix of run `runs[i]`; `runs` is [batch]."""
    rows = rows_of(prefix, runs)  # [batch, layers, 2, kv_heads, len, head_dim]
    cache = DynamicCache()
    for layer in range(rows.shape[1]):
        cache.update(rows[:, layer, 0], rows[:, layer, 1], layer)
    return cache


def cache_as_prefix(cache: DynamicCache) -> torch.Tensor:
    """Keys and values of a cache, [batch, layers, 2, kv_heads, len, head_dim]."""
    return torch.stack([torch.stack([layer.keys, layer.values], 1) for layer in cache.layers], 1)
