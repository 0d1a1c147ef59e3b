"""Gates of Adaptive Prefix Tuning (Zhang et al. 2023): factors of each layer's prefix, the same for keys and values.

A token gate, sigmoid(h W) of the input h of the layer's block, weighs the prefix positions for each text. A layer gate
is one trained number. The model's family chooses the tokens of h that count: in an encoder the whole text, in a
decoder the source only, or the prefix would change while the target is generated.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from stages.models.adaptation import Adaptation, Gate, rows_of

MEAN, FIRST = "mean", "first"  # pooling of h over the tokens: their mean, or the first token ([CLS])


@dataclass(frozen=True)
class Gates:
    """`layer` [runs, layers], `token` [runs, layers, width, len] and `free` [runs, layers, len]; each may be None.

    `free` is a token gate that does not depend on the text; its factor is its sigmoid.
    """

    layer: torch.Tensor | None
    token: torch.Tensor | None
    free: torch.Tensor | None
    pooling: str

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Factors [batch, len or 1] for a layer's prefix; see `Gate.at`."""
        factors = torch.ones(1, 1, device=hidden.device)
        if self.token is not None:
            pooled = _pooled(hidden.to(self.token.dtype), text, self.pooling)  # [batch, width]
            weight = rows_of(self.token[:, layer], runs)  # [batch, width, len]
            # [batch, 1, width] @ [batch, width, len] -> [batch, len]
            factors = factors * torch.bmm(pooled[:, None], weight)[:, 0].sigmoid()
        if self.free is not None:
            factors = factors * rows_of(self.free[:, layer], runs).sigmoid()
        if self.layer is not None:
            factors = factors * rows_of(self.layer[:, layer], runs)[:, None]
        return factors

    def of(self, run: int) -> "Gates":
        """The gates of one run alone."""
        return replace(self, **{
            name: value[run : run + 1]
            for name in ("layer", "token", "free") if (value := getattr(self, name)) is not None
        })  # fmt: skip


def _pooled(hidden: torch.Tensor, text: torch.Tensor, pooling: str) -> torch.Tensor:
    """[batch, length, width] -> [batch, width]"""
    if pooling == FIRST:
        return hidden[:, 0]
    counted = text[..., None].to(hidden.dtype)
    return (hidden * counted).sum(1) / counted.sum(1)


@dataclass(frozen=True)
class RecordingGate:
    """A gate that records its factors: `seen` lists (layer, [batch, len])."""

    gate: Gate
    seen: list[tuple[int, torch.Tensor]]

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """The factors of the wrapped gate, after recording them."""
        factors = self.gate.at(layer, hidden, text, runs)
        self.seen.append((layer, factors.detach().expand(len(hidden), -1)))  # [batch or 1, len] -> [batch, len]
        return factors

    def of(self, run: int) -> "RecordingGate":
        """The recording gate of one run alone; it appends to the same list."""
        return RecordingGate(self.gate.of(run), self.seen)


@contextlib.contextmanager
def gated(
    blocks: Sequence[nn.Module],
    adaptation: Adaptation,
    text: torch.Tensor,
    runs: torch.Tensor,
    multiply: Callable[[int, torch.Tensor], None],
) -> Iterator[None]:
    """Within the block, `multiply(layer, factors)` runs before each layer's block, with factors [batch, len].

    `text` [batch, length] is True for the tokens that the gate pools. Without a gate nothing happens.
    """

    def before(layer: int) -> Callable:
        def hook(_module: nn.Module, arguments: tuple, options: dict) -> None:
            hidden = arguments[0] if arguments else options["hidden_states"]
            multiply(layer, adaptation.gate.at(layer, hidden, text, runs))

        return hook

    with contextlib.ExitStack() as stack:
        if adaptation.gate is not None:
            for layer, block in enumerate(blocks):
                stack.callback(block.register_forward_pre_hook(before(layer), with_kwargs=True).remove)
        yield
