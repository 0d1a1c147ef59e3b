"""The gates of Adaptive Prefix Tuning (Zhang et al. 2023): what a layer's prefix is multiplied by, keys and values uniform_length.

A token gate, sigmoid(h W) of the hidden states h that the layer's block reads, weighs the positions of the prefix for
each text; a layer gate is one learned number. Which of h's tokens count, the model's family says: all of an encoder's
text; of a decoder's text the source, lest the prefix change while the target is written.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from stages.models.adaptation import Adaptation, Gate, rows_of

MEAN, FIRST = "mean", "first"  # of h over the tokens: their mean, or the first one's ([CLS])


@dataclass(frozen=True)
class Gates:
    """`layer` [runs, layers] or None; `token` [runs, layers, width, len] or None; `free` [runs, layers, len] or None.

    `free` is a token gate that no text moves, of which the sigmoid is taken too.
    """

    layer: torch.Tensor | None
    token: torch.Tensor | None
    free: torch.Tensor | None
    pooling: str

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """Factors [batch, len or 1]."""
        factors = torch.ones(1, 1, device=hidden.device)
        if self.token is not None:
            pooled = _pooled(hidden.to(self.token.dtype), text, self.pooling)  # [batch, width]
            weight = rows_of(self.token[:, layer], runs)  # [batch, width, len]
            factors = factors * torch.bmm(pooled[:, None], weight)[:, 0].sigmoid()
        if self.free is not None:
            factors = factors * rows_of(self.free[:, layer], runs).sigmoid()
        if self.layer is not None:
            factors = factors * rows_of(self.layer[:, layer], runs)[:, None]
        return factors

    def of(self, run: int) -> "Gates":
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
    """A gate whose factors are kept as they are computed: `seen` has (layer, [batch, len])."""

    gate: Gate
    seen: list[tuple[int, torch.Tensor]]

    def at(self, layer: int, hidden: torch.Tensor, text: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        factors = self.gate.at(layer, hidden, text, runs)
        self.seen.append((layer, factors.detach().expand(len(hidden), -1)))
        return factors

    def of(self, run: int) -> "RecordingGate":
        return RecordingGate(self.gate.of(run), self.seen)


@contextlib.contextmanager
def gated(
    blocks: Sequence[nn.Module],
    adaptation: Adaptation,
    text: torch.Tensor,
    runs: torch.Tensor,
    multiply: Callable[[int, torch.Tensor], None],
) -> Iterator[None]:
    """Within the block, `multiply(layer, factors)` is called before a layer's block is computed, with factors [batch, len]."""

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
