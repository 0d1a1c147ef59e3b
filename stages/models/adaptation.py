"""What a method adds to a model: prefixes by place, a prompt, an infix, adapters. Nothing of it: the model as it is.

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


class Gate(Protocol):
    """What the prefix of a decoder or an encoder is multiplied by, layer by layer (APT; see `models/gates.py`)."""

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Factors [batch, len] from what a block reads, [batch, length, width]; `text` [batch, length]: what counts."""

    def of(self, run: int) -> Self:
        """That of one run alone."""


@dataclass(frozen=True)
class Head:
    """Scores of an encoder's classes: weight [runs, classes, width], bias [runs, classes]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """[rows, width] -> [rows, classes] in fp32, row `i` by the head of run `runs[i]`."""
        hidden = hidden.to(self.weight.dtype)
        with torch.autocast(hidden.device.type, enabled=False):  # a model that is fine-tuned computes in bf16 by it
            if len(self.weight) == 1:
                return F.linear(hidden, self.weight[0], self.bias[0])
            weight, bias = rows_of(self.weight, runs), rows_of(self.bias, runs)
            return torch.baddbmm(bias[:, None], hidden[:, None], weight.mT)[:, 0]

    def of(self, run: int) -> "Head":
        return Head(self.weight[run : run + 1], self.bias[run : run + 1])


@dataclass(frozen=True)
class Adaptation:
    """`prefixes` are `[runs, layers, 2, kv_heads, len, head_dim]` by place, `adapters` stand behind modules.

    `lengths` [runs]: how many of the `len` positions are a run's own, the first ones; None: all of them.
    `prompt` [runs, len, width]: vectors that an encoder-decoder model's encoder reads before the source.
    `gate` multiplies the prefix; `head` is of an encoder, which has no other output.
    """

    prefixes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    infix: Infix | None = None
    lengths: torch.Tensor | None = None
    adapters: Mapping[nn.Module, Adapter] = field(default_factory=dict)
    prompt: torch.Tensor | None = None
    gate: Gate | None = None
    head: Head | None = None

    @property
    def joinable(self) -> bool:
        """Whether `joined` can take it: nothing but prefixes, or a prompt."""
        return self.infix is None and not self.adapters and self.gate is None and self.head is None

    @property
    def length(self) -> int:
        """Positions that it takes: of the prefix, which in encoder-decoder models takes none of the text's, the prompt or infix."""
        if self.infix is not None:
            return self.infix.embeddings.shape[1]
        if self.prompt is not None:
            return self.prompt.shape[1]
        return max((prefix.shape[4] for prefix in self.prefixes.values()), default=0)

    def visible(self, runs: torch.Tensor) -> torch.Tensor | None:
        """Which positions of the prefix are of the run of each row, [batch, len]; None: all of them."""
        if self.lengths is None:
            return None
        return torch.arange(self.length, device=runs.device) < self.lengths[runs][:, None]

    def of(self, run: int) -> "Adaptation":
        """That of one run alone."""
        infix = self.infix and Infix(self.infix.embeddings[run : run + 1], self.infix.offsets[run : run + 1])
        length = self.length if self.lengths is None else int(self.lengths[run])
        prefixes = {place: prefix[run : run + 1, ..., :length, :] for place, prefix in self.prefixes.items()}
        return Adaptation(
            prefixes,
            infix,
            adapters={module: one.of(run) for module, one in self.adapters.items()},
            prompt=None if self.prompt is None else self.prompt[run : run + 1],
            gate=None if self.gate is None else self.gate.of(run),
            head=None if self.head is None else self.head.of(run),
        )

    @classmethod
    def joined(cls, one_each: Sequence["Adaptation"]) -> "Adaptation":
        """The prefixes of several trainings as runs of one adaptation, of whatever lengths (section 8.2); or prompts of one length."""
        if one_each[0].prompt is not None:
            return cls(prompt=torch.cat([adaptation.prompt for adaptation in one_each]))
        longest = max(adaptation.length for adaptation in one_each)
        lengths = [adaptation.length for adaptation in one_each for _ in range(adaptation.runs)]
        prefixes = {
            place: torch.cat([F.pad(s.prefixes[place], (0, 0, 0, longest - s.length)) for s in one_each])
            for place in one_each[0].prefixes
        }
        device = next(iter(prefixes.values())).device
        return cls(prefixes, lengths=torch.tensor(lengths, device=device))

    @property
    def runs(self) -> int:
        """How many runs the prefixes, or the prompts, are of."""
        if self.prompt is not None:
            return len(self.prompt)
        return max((len(prefix) for prefix in self.prefixes.values()), default=1)


def rows_of(tensor: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
    """Row `i` is that of run `runs[i]`: [runs, ...] -> [batch, ...]."""
    # Not tensor[runs], whose gradient is summed in no fixed order.
    return tensor.expand(len(runs), *tensor.shape[1:]) if len(tensor) == 1 else tensor.index_select(0, runs)
