"""What a method attaches to a model: prefixes by attention site, a prompt, an infix, adapters. Empty: the plain model.

A prefix is a cache of keys and values that no token produced, `[runs, layers, 2, kv_heads, len, head_dim]`. One tensor
can hold K runs (subsets, seeds, users); each row of a batch attends to the prefix of its own run (paper, section 8.2).
Masks, positions and decoding see a method only through this class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import torch
from torch import nn
from torch.nn import functional as F

# Attention sites, each of which can take a prefix. A decoder-only model has only the decoder's.
ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"


@dataclass(frozen=True)
class Infix:
    """Virtual tokens between source and target (section 7.2).

    `embeddings` `[runs, len, width]` are read after the source; `offsets` `[runs, layers, 2, kv_heads, len, head_dim]`
    are then added to their keys and values.
    """

    embeddings: torch.Tensor
    offsets: torch.Tensor


class Adapter(Protocol):
    """A function applied to the output of a module, for one or more runs."""

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Adapted hidden states [batch, length, width]; row `i` passes the adapter of run `runs[i]`."""

    def of(self, run: int) -> Self:
        """The adapter of one run alone."""


class Gate(Protocol):
    """Factors for the prefix of a decoder or an encoder, layer by layer (APT; see `models/gates.py`)."""

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Factors [batch, len] for a layer's prefix.

        `hidden` [batch, length, width] is the input of the layer's block; `text` [batch, length] is True for the
        tokens that count.
        """

    def of(self, run: int) -> Self:
        """The gate of one run alone."""


@dataclass(frozen=True)
class Head:
    """Classification head of an encoder: weight [runs, classes, width], bias [runs, classes]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, hidden: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Class scores [rows, classes], fp32, of hidden states [rows, width]; row `i` uses the head of run
        `runs[i]`."""
        hidden = hidden.to(self.weight.dtype)
        with torch.autocast(hidden.device.type, enabled=False):  # fine-tuning in bf16 turns autocast on
            if len(self.weight) == 1:
                return F.linear(hidden, self.weight[0], self.bias[0])
            weight, bias = rows_of(self.weight, runs), rows_of(self.bias, runs)
            # [rows, 1, classes] + [rows, 1, width] @ [rows, width, classes]
            return torch.baddbmm(bias[:, None], hidden[:, None], weight.mT)[:, 0]

    def of(self, run: int) -> "Head":
        """The head of one run alone."""
        return Head(self.weight[run : run + 1], self.bias[run : run + 1])


@dataclass(frozen=True)
class Adaptation:
    """Everything that a method attaches to a model, for `runs` runs.

    - `prefixes`: keys and values `[runs, layers, 2, kv_heads, len, head_dim]` by attention site.
    - `infix`: virtual tokens after the source.
    - `lengths` [runs]: how many of the `len` positions, the first ones, belong to a run; None: all.
    - `adapters`: by the module whose output they change.
    - `prompt` [runs, len, width]: vectors that an encoder-decoder model's encoder reads before the source.
    - `gate`: multiplies the prefix.
    - `head`: scores classes; only an encoder has one.
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
        """Whether `joined` accepts it: it has prefixes or a prompt and nothing else."""
        return self.infix is None and not self.adapters and self.gate is None and self.head is None

    @property
    def length(self) -> int:
        """Number of virtual tokens: of the infix, the prompt or the longest prefix.

        In encoder-decoder models a prefix takes none of the text's positions (see `LM.num_virtual_tokens`).
        """
        if self.infix is not None:
            return self.infix.embeddings.shape[1]
        if self.prompt is not None:
            return self.prompt.shape[1]
        return max((prefix.shape[4] for prefix in self.prefixes.values()), default=0)

    def visible(self, runs: torch.Tensor) -> torch.Tensor | None:
        """Which prefix positions belong to the run of each row, [batch, len]; None: all of them."""
        if self.lengths is None:
            return None
        return torch.arange(self.length, device=runs.device) < self.lengths[runs][:, None]

    def of(self, run: int) -> "Adaptation":
        """The adaptation of one run alone, its prefixes cut to the run's own length."""
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
        """Batch the prefixes of several adaptations, of any lengths, as runs of one (section 8.2); or prompts of one
        length.

        Shorter prefixes are padded on the right; `lengths` says how many positions each run has.
        """
        if one_each[0].prompt is not None:
            return cls(prompt=torch.cat([adaptation.prompt for adaptation in one_each]))
        longest = max(adaptation.length for adaptation in one_each)
        lengths = [adaptation.length for adaptation in one_each for _ in range(adaptation.runs)]
        prefixes = {
            # pads len: [runs, layers, 2, kv_heads, longest, head_dim]
            place: torch.cat([F.pad(s.prefixes[place], (0, 0, 0, longest - s.length)) for s in one_each])
            for place in one_each[0].prefixes
        }
        device = next(iter(prefixes.values())).device
        return cls(prefixes, lengths=torch.tensor(lengths, device=device))

    @property
    def runs(self) -> int:
        """Number of runs in the prefixes or the prompt."""
        if self.prompt is not None:
            return len(self.prompt)
        return max((len(prefix) for prefix in self.prefixes.values()), default=1)


def rows_of(tensor: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
    """Row `i` is entry `runs[i]` of the tensor: [runs, ...] -> [batch, ...]."""
    # [runs, ...] -> [batch, ...]. Not tensor[runs], whose gradient is summed in no fixed order.
    return tensor.expand(len(runs), *tensor.shape[1:]) if len(tensor) == 1 else tensor.index_select(0, runs)
