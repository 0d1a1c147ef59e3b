"""What a method attaches to a model: prefixes by attention site, a prompt, an infix, adapters, low-rank updates.

Empty: the plain model.

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

from stages.core.errors import UserError

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
class LowRankUpdate:
    """A low-rank update of a linear layer's weights W (LoRA), for one or more runs: W + up @ down.

    `down` [runs, rank, in], `up` [runs, out, rank].
    """

    down: torch.Tensor
    up: torch.Tensor

    def __call__(self, x: torch.Tensor, output: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """`output` [..., out] of the layer for the input `x` [..., in], plus the output of the update.

        With several runs, both are [batch, ...] and row `i` has the update of `runs[i]`; then `x` is
        [batch, length, in]. Raises UserError if it is not.
        """
        if len(self.down) == 1:
            # [rows, out] + [rows, in] @ [in, rank] @ [rank, out]
            rows = torch.addmm(output.flatten(0, -2), x.flatten(0, -2) @ self.down[0].T, self.up[0].T)
            return rows.view(output.shape)
        if x.ndim != 3 or len(x) != len(runs):
            raise UserError(
                f"params.yaml: methods.lora.target_modules: a layer reads a tensor of shape {list(x.shape)} for {len(runs)} "
                "texts, so it cannot have an update per run: set cells.runs_per_batch to 1"
            )
        down, up = rows_of(self.down, runs), rows_of(self.up, runs)
        # [batch, length, out] + [batch, length, in] @ [batch, in, rank] @ [batch, rank, out]
        return torch.baddbmm(output, torch.bmm(x, down.mT), up.mT)

    def of(self, run: int) -> "LowRankUpdate":
        """The update of one run alone."""
        return LowRankUpdate(self.down[run : run + 1], self.up[run : run + 1])

    @classmethod
    def joined(cls, one_each: Sequence["LowRankUpdate"]) -> "LowRankUpdate":
        """The runs of several updates of one layer; those of lower rank are padded with zeros."""
        highest = max(one.down.shape[1] for one in one_each)
        missing = [highest - one.down.shape[1] for one in one_each]
        # pads rank: [runs, highest, in] and [runs, out, highest]
        down = [F.pad(one.down, (0, 0, 0, less)) for one, less in zip(one_each, missing, strict=True)]
        up = [F.pad(one.up, (0, less)) for one, less in zip(one_each, missing, strict=True)]
        return cls(torch.cat(down), torch.cat(up))


@dataclass(frozen=True)
class Adaptation:
    """Everything that a method attaches to a model, for `runs` runs.

    - `prefixes`: keys and values `[runs, layers, 2, kv_heads, len, head_dim]` by attention site.
    - `infix`: virtual tokens after the source.
    - `lengths` [runs]: how many of the `len` positions, the first ones, belong to a run; None: all.
    - `adapters`: by the module whose output they change.
    - `low_rank`: updates of weights, by the linear layer whose they are.
    - `prompt` [runs, len, width]: vectors that an encoder-decoder model's encoder reads before the source.
    - `gate`: multiplies the prefix.
    - `head`: scores classes; only an encoder has one.
    """

    prefixes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    infix: Infix | None = None
    lengths: torch.Tensor | None = None
    adapters: Mapping[nn.Module, Adapter] = field(default_factory=dict)
    low_rank: Mapping[nn.Module, LowRankUpdate] = field(default_factory=dict)
    prompt: torch.Tensor | None = None
    gate: Gate | None = None
    head: Head | None = None

    @property
    def joinable(self) -> bool:
        """Whether `joined` accepts it: it has nothing but prefixes, a prompt or low-rank updates."""
        return self.infix is None and not self.adapters and self.gate is None and self.head is None

    @property
    def read_once(self) -> bool:
        """Whether it has nothing but prefixes or a prompt, which are read once before a text: no later step needs it."""
        return self.joinable and not self.low_rank

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
        prefixes = {site: prefix[run : run + 1, ..., :length, :] for site, prefix in self.prefixes.items()}
        return Adaptation(
            prefixes,
            infix,
            adapters={module: one.of(run) for module, one in self.adapters.items()},
            low_rank={module: one.of(run) for module, one in self.low_rank.items()},
            prompt=None if self.prompt is None else self.prompt[run : run + 1],
            gate=None if self.gate is None else self.gate.of(run),
            head=None if self.head is None else self.head.of(run),
        )

    @classmethod
    def joined(cls, one_each: Sequence["Adaptation"]) -> "Adaptation":
        """Batch the prefixes of several adaptations, of any lengths, as runs of one (section 8.2); or prompts of one
        length; or low-rank updates, of any ranks, of the same layers.

        Shorter prefixes are padded on the right; `lengths` says how many positions each run has.
        """
        if one_each[0].prompt is not None:
            return cls(prompt=torch.cat([adaptation.prompt for adaptation in one_each]))
        if one_each[0].low_rank:
            return cls(low_rank={
                module: LowRankUpdate.joined([adaptation.low_rank[module] for adaptation in one_each])
                for module in one_each[0].low_rank
            })  # fmt: skip
        longest = max(adaptation.length for adaptation in one_each)
        lengths = [adaptation.length for adaptation in one_each for _ in range(adaptation.runs)]
        prefixes = {
            # pads len: [runs, layers, 2, kv_heads, longest, head_dim]
            site: torch.cat([F.pad(s.prefixes[site], (0, 0, 0, longest - s.length)) for s in one_each])
            for site in one_each[0].prefixes
        }
        device = next(iter(prefixes.values())).device
        return cls(prefixes, lengths=torch.tensor(lengths, device=device))

    @property
    def runs(self) -> int:
        """Number of runs in the prefixes, the prompt or the low-rank updates."""
        if self.prompt is not None:
            return len(self.prompt)
        held = [*self.prefixes.values(), *(one.down for one in self.low_rank.values())]
        return max(map(len, held), default=1)


def rows_of(tensor: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
    """Row `i` is entry `runs[i]` of the tensor: [runs, ...] -> [batch, ...]."""
    # [runs, ...] -> [batch, ...]. Not tensor[runs], whose gradient is summed in no fixed order.
    return tensor.expand(len(runs), *tensor.shape[1:]) if len(tensor) == 1 else tensor.index_select(0, runs)
