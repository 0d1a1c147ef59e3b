"""What stands before a text, as transformers' models see it: caches of keys and values.

`PrefixKV` is what each row of a batch stands behind: a prefix, or what was read before. `PrefixCache` puts it in front of a text
that is read in one go. `Beams` is what is remembered of the sentences of a beam search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch.nn import functional as F
from transformers import Cache, DynamicCache

from stages.models.adaptation import Adaptation, rows_of
from stages.models.model import Shape


@dataclass(frozen=True)
class PrefixKV:
    """Keys and values [rows, layers, 2, kv_heads, columns, head_dim]; one row stands for all of a batch.

    `visible` [rows, columns] says which columns a row sees (None: all), `positions` [rows or 1, columns] where they stand,
    `following` [rows] how many positions they take. The first `leading` tokens of a text, a model's beginning of text,
    stand before them and see none.
    """

    keys_values: torch.Tensor
    visible: torch.Tensor | None
    positions: torch.Tensor
    following: torch.Tensor
    leading: int = 0

    @property
    def columns(self) -> int:
        return self.keys_values.shape[4]

    def positions_of(self, length: int) -> torch.Tensor:
        """Where the tokens of a text stand, [rows, length]."""
        steps = torch.arange(length, device=self.following.device)
        return steps + self.following[:, None] * (steps >= self.leading)

    def mask(self, length: int) -> torch.Tensor:
        """What each token of a text sees, [rows or 1, 1, length, columns + length]: the past, and the text up to itself."""
        device = self.keys_values.device
        causal = torch.ones(length, self.columns + length, dtype=torch.bool, device=device).tril(self.columns)
        causal[: self.leading, : self.columns] = False
        if self.visible is None:
            return causal[None, None]
        return causal & F.pad(self.visible, (0, length), value=True)[:, None, None]

    def positions_with(self, length: int) -> torch.Tensor:
        """Where the past and the tokens of a text stand, [rows, columns + length]."""
        text = self.positions_of(length)
        return torch.cat([self.positions.expand(len(text), -1), text], 1)

    def seen_with(self, text: torch.Tensor) -> torch.Tensor:
        """What follows sees of the past and of a text [rows, length] (True for tokens), [rows, columns + length]."""
        past = text.new_ones(len(text), self.columns) if self.visible is None else self.visible
        return torch.cat([past, text], 1)

    def by_layer(self, rows: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each layer, [rows, kv_heads, columns, head_dim]."""
        # unbind, whose gradient is gathered once; that of indexing fills a tensor of the whole size for each layer.
        pairs = [layer.unbind(1) for layer in self.keys_values.unbind(1)]
        return [tuple(part.expand(rows, *part.shape[1:]) for part in pair) for pair in pairs]

    def opened(self, rows: int) -> "GrowingCache":
        """A cache that holds the past and grows by what is read."""
        cache = GrowingCache()
        for number, (keys, values) in enumerate(self.by_layer(rows)):
            cache.update(keys, values, number)
        return cache


def prefix_kv_of(
    adaptation: Adaptation, place: str, shape: Shape, runs: torch.Tensor, dtype: torch.dtype, leading: int = 0
) -> PrefixKV:
    """The prefix at a place, in which row `i` has that of run `runs[i]`; of no columns where there is none."""
    prefix = adaptation.prefixes.get(place)
    if prefix is None:
        size = (1, shape.layers, 2, shape.kv_heads, 0, shape.head_dim)
        nothing = torch.zeros(size, dtype=dtype, device=runs.device)
        return PrefixKV(nothing, None, runs.new_zeros(1, 0), torch.zeros_like(runs), leading)
    length = prefix.shape[4]
    own = length if adaptation.lengths is None else adaptation.lengths[runs]
    rows = prefix if len(prefix) == 1 else rows_of(prefix, runs)
    positions = torch.arange(leading, leading + length, device=runs.device)[None]
    return PrefixKV(rows.to(dtype), adaptation.visible(runs), positions, torch.zeros_like(runs) + own, leading)


class GrowingCache(DynamicCache):
    """The past before a text, and the text as it is read."""

    def multiply(self, layer: int, factors: torch.Tensor) -> None:
        """What a layer holds by factors [rows, columns], those of a gate, as long as that is the past alone."""
        held = self.layers[layer]
        held.keys, held.values = (part * factors[:, None, :, None].to(part.dtype) for part in (held.keys, held.values))


class PrefixCache(Cache):
    """The past before a text that is read in one go. It keeps nothing, so that a layer may be computed twice."""

    def __init__(self, past: PrefixKV, rows: int):
        super().__init__(layers=[])
        self.past = past.by_layer(rows) if past.columns else None
        self.columns = past.columns

    def multiply(self, layer: int, factors: torch.Tensor) -> None:
        """The past of a layer by factors [rows, columns], those of a gate."""
        self.past[layer] = tuple(part * factors[:, None, :, None].to(part.dtype) for part in self.past[layer])

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        if self.past is None:
            return keys, values
        return tuple(torch.cat(pair, 2) for pair in zip(self.past[layer_idx], (keys, values), strict=True))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.columns


class KVRecorder(Cache):
    """Keys and values of a text that is read behind nothing. Of a layer that is computed twice, they are the last."""

    def __init__(self):
        super().__init__(layers=[])
        self.found: dict[int, torch.Tensor] = {}  # by layer, [rows, 2, kv_heads, length, head_dim]

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        self.found[layer_idx] = torch.stack([keys, values], 1)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def as_prefix(self) -> torch.Tensor:
        """[rows, layers, 2, kv_heads, length, head_dim]"""
        return torch.stack([self.found[layer] for layer in sorted(self.found)], 1)


class Beams(Cache):
    """Keys and values of sentences, those of what all beams of a sentence go back to stored once.

    Each sentence has a place and columns of its own: what it stands behind, then at each step one column for each
    beam. Choosing beams moves none of it: `seen` says which columns each beam goes back to, and those that no beam does
    are written over. The model reads the beams of a sentence as if they were tokens of one text.
    """

    def __init__(self, shape: Shape, beam: int, dtype: torch.dtype, device: torch.device):
        super().__init__(layers=[])
        self.beam = beam
        self.store = torch.zeros(
            shape.layers, 2, 0, 0, shape.kv_heads, shape.head_dim, dtype=dtype, device=device
        )  # [layers, 2, places, columns, kv_heads, head_dim]
        self.seen = torch.zeros(0, beam, 0, dtype=torch.bool, device=device)  # [places, beam, columns]
        # Where the token of a column stands in its text, [places, columns].
        self.positions = torch.zeros(0, 0, dtype=torch.long, device=device)
        self.counts: list[int] = []  # columns in use, by place: what stands behind them is seen by none

    def prefill(
        self,
        read: Sequence[tuple[torch.Tensor, torch.Tensor]],
        seen: torch.Tensor,
        positions: torch.Tensor,
        counts: list[int],
    ) -> None:
        """Sentences take the next places: keys and values of each layer [rows, kv_heads, columns, head_dim].

        `seen` and `positions` are [rows, columns]; what stands behind the first `counts` columns is padding, and overwritten.
        """
        places = slice(len(self.counts), len(self.counts) + len(counts))
        columns = seen.shape[1]
        self._make_room(places.stop, columns)
        for number, pair in enumerate(read):
            for part, tensor in enumerate(pair):
                self.store[number, part, places, :columns] = tensor.transpose(1, 2)
        self.seen[places] = F.pad(seen, (0, self.seen.shape[2] - columns))[:, None]
        self.positions[places, :columns] = positions
        self.counts += counts

    def _make_room(self, places: int, columns: int) -> None:
        old_places, old_columns = self.store.shape[2:4]
        if places <= old_places and columns <= old_columns:
            return
        places = max(places, old_places)
        columns = old_columns if columns <= old_columns else columns + columns // 2
        layers, two, _, _, *rest = self.store.shape
        store = self.store.new_zeros(layers, two, places, columns, *rest)
        store[:, :, :old_places, :old_columns] = self.store
        seen = self.seen.new_zeros(places, self.beam, columns)
        seen[:old_places, :, :old_columns] = self.seen
        positions = self.positions.new_zeros(places, columns)
        positions[:old_places, :old_columns] = self.positions
        self.store, self.seen, self.positions = store, seen, positions

    def reorder(self, order: list[int]) -> None:
        """Place `i` goes on with the sentence of place `order[i]`, which is `i` or behind all that stay."""
        for place, other in enumerate(order):
            if place != other:
                width = self.counts[other]
                self.store[:, :, place, :width] = self.store[:, :, other, :width]
                self.seen[place], self.positions[place] = self.seen[other], self.positions[other]
        self.counts = [self.counts[other] for other in order]

    def advance(self, parents: torch.Tensor, following: torch.Tensor) -> None:
        """Beam `b` of a sentence goes on from its beam `parents[b]`, [places, beam], with a column of its own.

        Its next token stands at position `following` [places].
        """
        places, width = len(self.counts), max(self.counts) + self.beam
        self._make_room(places, width)
        seen = self.seen[:places, :, :width].take_along_dim(parents[..., None], 1)
        free = torch.arange(width, device=seen.device).where(~seen.any(1), width)  # [places, width]
        self.columns = free.topk(self.beam, largest=False).values  # [places, beam]
        self.seen[:places, :, :width] = seen.scatter_(2, self.columns[..., None], True)
        self.positions[:places].scatter_(1, self.columns, following[:, None].expand_as(self.columns))
        last = self.columns.amax(1).tolist()
        self.counts = [max(count, column + 1) for count, column in zip(self.counts, last, strict=True)]

    def mask(self) -> torch.Tensor:
        """What each beam sees, [places, 1, beam, width]."""
        return self.seen[: len(self.counts), None, :, : max(self.counts)]

    def columns_at(self) -> torch.Tensor:
        """Where what the beams see stands, [places, width]."""
        return self.positions[: len(self.counts), : max(self.counts)]

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        """Store [places, kv_heads, beam, head_dim]; returns all of the layer, [places, kv_heads, width, head_dim]."""
        places, width = len(self.counts), max(self.counts)
        rows = torch.arange(places, device=keys.device)[:, None]
        for part, tensor in enumerate((keys, values)):
            self.store[layer_idx, part][rows, self.columns] = tensor.transpose(1, 2)
        return tuple(self.store[layer_idx, :, :places, :width].transpose(2, 3))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0  # positions are given: they differ by sentence


class Sources(Beams):
    """Keys and values of what a decoder attends to across, the same for all beams; they never grow."""

    def __init__(self, shape: Shape, dtype: torch.dtype, device: torch.device):
        super().__init__(shape, 1, dtype, device)

    def prefill(self, *arguments) -> None:
        super().prefill(*arguments)
        self._show()

    def reorder(self, order: list[int]) -> None:
        super().reorder(order)
        self._show()

    def _show(self) -> None:
        """`layers` is where transformers' models look for what is there already."""
        places, width = len(self.counts), max(self.counts, default=0)
        shown = self.store[:, :, :places, :width].transpose(3, 4)  # [layers, 2, places, kv_heads, width, head_dim]
        self.layers = [SimpleNamespace(keys=keys, values=values) for keys, values in shown]
