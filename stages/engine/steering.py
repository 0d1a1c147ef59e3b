"""What a method adds to a model: prefixes by place, an infix, or adapters. Nothing of it: the model as it is.

A prefix is a cache: keys and values that no token produced, `[runs, layers, 2, kv_heads, len, head_dim]`.
K runs (subsets, seeds, users) stand in one tensor; each row of a batch attends to its own run's (paper,
section 8.2). Masks, positions and decoding know nothing of a method but this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import torch
from torch import nn
from torch.nn import functional as F

# The attentions that a prefix can stand in front of; a decoder-only model has the decoder's alone.
ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"


@dataclass(frozen=True)
class Infix:
    """Vectors read behind the source, `[runs, len, width]`, and what is added to their keys and values,
    `[runs, layers, 2, kv_heads, len, head_dim]` (section 7.2)."""

    embeddings: torch.Tensor
    offsets: torch.Tensor


class Adapter(Protocol):
    """What stands behind a module, of one or more runs."""

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, length, width], row `i` by the adapter of run `runs[i]`."""

    def of(self, run: int) -> Self:
        """That of one run alone."""


@dataclass(frozen=True)
class Steering:
    """`prefixes` are `[runs, layers, 2, kv_heads, len, head_dim]` by place, `adapters` stand behind modules.

    `lengths` [runs]: how many of the `len` positions are a run's own, the first ones; None: all of them.
    """

    prefixes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    infix: Infix | None = None
    lengths: torch.Tensor | None = None
    adapters: Mapping[nn.Module, Adapter] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Positions that it takes: of the prefix, which in encoder-decoder models takes none of the text's, or the infix."""
        if self.infix is not None:
            return self.infix.embeddings.shape[1]
        return max((prefix.shape[4] for prefix in self.prefixes.values()), default=0)

    def visible(self, runs: torch.Tensor) -> torch.Tensor | None:
        """Which positions of the prefix are of the run of each row, [batch, len]; None: all of them."""
        if self.lengths is None:
            return None
        return torch.arange(self.length, device=runs.device) < self.lengths[runs][:, None]

    def of(self, run: int) -> "Steering":
        """That of one run alone."""
        infix = self.infix and Infix(self.infix.embeddings[run : run + 1], self.infix.offsets[run : run + 1])
        length = self.length if self.lengths is None else int(self.lengths[run])
        prefixes = {place: prefix[run : run + 1, ..., :length, :] for place, prefix in self.prefixes.items()}
        return Steering(prefixes, infix, adapters={module: one.of(run) for module, one in self.adapters.items()})

    @classmethod
    def joined(cls, one_each: Sequence["Steering"]) -> "Steering":
        """The prefixes of several trainings as runs of one steering, of whatever lengths (section 8.2)."""
        longest = max(steering.length for steering in one_each)
        lengths = [steering.length for steering in one_each for _ in range(steering.runs)]
        prefixes = {
            place: torch.cat([F.pad(s.prefixes[place], (0, 0, 0, longest - s.length)) for s in one_each])
            for place in one_each[0].prefixes
        }
        device = next(iter(prefixes.values())).device
        return cls(prefixes, lengths=torch.tensor(lengths, device=device))

    @property
    def runs(self) -> int:
        """How many runs the prefixes are of."""
        return max((len(prefix) for prefix in self.prefixes.values()), default=1)


def rows_of(tensor: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
    """Row `i` is that of run `runs[i]`: [runs, ...] -> [batch, ...]."""
    # Not tensor[runs], whose gradient is summed in no fixed order.
    return tensor.expand(len(runs), *tensor.shape[1:]) if len(tensor) == 1 else tensor.index_select(0, runs)
