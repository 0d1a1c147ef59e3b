"""Caches of keys and values, in the form that transformers' models read them.

- `PrefixKV`: what each row of a batch attends to before its text: a prefix, or a text read earlier.
- `PrefixCache`: puts a PrefixKV before a text that is read in one pass.
- `Beams`: the cache of all sentences in a beam search.
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
    """Keys and values before a text, [rows, layers, 2, kv_heads, columns, head_dim]; a single row serves the whole
    batch.

    - `visible` [rows, columns]: True for the columns that a row attends to (None: all).
    - `positions` [rows or 1, columns]: the position of each column.
    - `following` [rows]: how many positions the columns take.
    - `leading`: how many tokens of the text (its begin token) come before the columns and do not attend to them.
    """

    keys_values: torch.Tensor
    visible: torch.Tensor | None
    positions: torch.Tensor
    following: torch.Tensor
    leading: int = 0

    @property
    def columns(self) -> int:
        """Number of columns, padding included."""
        return self.keys_values.shape[4]

    def positions_of(self, length: int) -> torch.Tensor:
        """Positions of the `length` tokens of a text, [rows, length]."""
        steps = torch.arange(length, device=self.following.device)
        return steps + self.following[:, None] * (steps >= self.leading)

    def mask(self, length: int) -> torch.Tensor:
        """Attention mask of a text, [rows or 1, 1, length, columns + length]: True for the prefix and the text up to
        the token."""
        device = self.keys_values.device
        causal = torch.ones(length, self.columns + length, dtype=torch.bool, device=device).tril(self.columns)
        causal[: self.leading, : self.columns] = False
        if self.visible is None:
            return causal[None, None]
        return causal & F.pad(self.visible, (0, length), value=True)[:, None, None]

    def positions_with(self, length: int) -> torch.Tensor:
        """Positions of the columns and of a text's tokens, [rows, columns + length]."""
        text = self.positions_of(length)
        return torch.cat([self.positions.expand(len(text), -1), text], 1)

    def seen_with(self, text: torch.Tensor) -> torch.Tensor:
        """Which columns later tokens attend to, [rows, columns + length], given a text's mask [rows, length]."""
        past = text.new_ones(len(text), self.columns) if self.visible is None else self.visible
        return torch.cat([past, text], 1)

    def by_layer(self, rows: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each layer, each [rows, kv_heads, columns, head_dim]."""
        # unbind, not indexing: the gradient of indexing fills a tensor of the full size for each layer.
        pairs = [layer.unbind(1) for layer in self.keys_values.unbind(1)]
        # [rows or 1, kv_heads, columns, head_dim] -> [rows, ...]
        return [tuple(part.expand(rows, *part.shape[1:]) for part in pair) for pair in pairs]

    def opened(self, rows: int) -> "GrowingCache":
        """A cache that starts with these keys and values and grows with each token read."""
        cache = GrowingCache()
        for number, (keys, values) in enumerate(self.by_layer(rows)):
            cache.update(keys, values, number)
        return cache


def prefix_kv_of(
    adaptation: Adaptation, site: str, shape: Shape, runs: torch.Tensor, dtype: torch.dtype, leading: int = 0
) -> PrefixKV:
    """The prefix at an attention site, in which row `i` has the prefix of run `runs[i]`, cast to `dtype`.

    Has no columns if the adaptation has no prefix there.
    """
    prefix = adaptation.prefixes.get(site)
    if prefix is None:
        size = (1, shape.layers, 2, shape.kv_heads, 0, shape.head_dim)
        nothing = torch.zeros(size, dtype=dtype, device=runs.device)
        return PrefixKV(nothing, None, runs.new_zeros(1, 0), torch.zeros_like(runs), leading)
    length = prefix.shape[4]
    own = length if adaptation.lengths is None else adaptation.lengths[runs]
    rows = prefix if len(prefix) == 1 else rows_of(prefix, runs)  # [1 or batch, layers, 2, kv_heads, len, head_dim]
    positions = torch.arange(leading, leading + length, device=runs.device)[None]
    return PrefixKV(rows.to(dtype), adaptation.visible(runs), positions, torch.zeros_like(runs) + own, leading)


class GrowingCache(DynamicCache):
    """The prefix, and the text after it as it is read."""

    def multiply(self, layer: int, factors: torch.Tensor) -> None:
        """Multiply a layer's keys and values by a gate's factors [rows, columns], before any text is read."""
        held = self.layers[layer]
        held.keys, held.values = (part * factors[:, None, :, None].to(part.dtype) for part in (held.keys, held.values))


class PrefixCache(Cache):
    """The prefix before a text that is read in one pass. Stores no text, so that a layer may be recomputed."""

    def __init__(self, past: PrefixKV, rows: int):
        super().__init__(layers=[])
        self.past = past.by_layer(rows) if past.columns else None
        self.columns = past.columns

    def multiply(self, layer: int, factors: torch.Tensor) -> None:
        """Multiply the prefix of a layer by a gate's factors [rows, columns]."""
        self.past[layer] = tuple(part * factors[:, None, :, None].to(part.dtype) for part in self.past[layer])

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        """Keys and values of the prefix and the text, each [rows, kv_heads, columns + length, head_dim]."""
        if self.past is None:
            return keys, values
        return tuple(torch.cat(pair, 2) for pair in zip(self.past[layer_idx], (keys, values), strict=True))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of columns before the text."""
        return self.columns


class KVRecorder(Cache):
    """Records the keys and values of a text without a prefix. If a layer is computed twice, the last ones are kept."""

    def __init__(self):
        super().__init__(layers=[])
        self.found: dict[int, torch.Tensor] = {}  # by layer, [rows, 2, kv_heads, length, head_dim]

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        """Record the keys and values [rows, kv_heads, length, head_dim] of a layer and return them."""
        self.found[layer_idx] = torch.stack([keys, values], 1)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Always 0: nothing precedes the text."""
        return 0

    def as_prefix(self) -> torch.Tensor:
        """All recorded keys and values, [rows, layers, 2, kv_heads, length, head_dim]."""
        return torch.stack([self.found[layer] for layer in sorted(self.found)], 1)


class Beams(Cache):
    """Keys and values in a beam search. What the beams of a sentence have in common is stored once.

    A sentence has a slot, which holds columns: its prefix and source, then one column per beam and step. Choosing
    beams moves no column: `seen` says which ones each beam attends to, and columns that no beam attends to are
    overwritten. The model reads the beams of a sentence as if they were tokens of one text.
    """

    def __init__(self, shape: Shape, beam: int, dtype: torch.dtype, device: torch.device):
        super().__init__(layers=[])
        self.beam = beam
        self.store = torch.zeros(
            shape.layers, 2, 0, 0, shape.kv_heads, shape.head_dim, dtype=dtype, device=device
        )  # [layers, 2, slots, columns, kv_heads, head_dim]
        self.seen = torch.zeros(0, beam, 0, dtype=torch.bool, device=device)  # [slots, beam, columns]
        # The position of each column's token in its text, [slots, columns].
        self.positions = torch.zeros(0, 0, dtype=torch.long, device=device)
        self.counts: list[int] = []  # columns in use, by slot: no beam attends to a later one

    def prefill(
        self,
        read: Sequence[tuple[torch.Tensor, torch.Tensor]],
        seen: torch.Tensor,
        positions: torch.Tensor,
        counts: list[int],
    ) -> None:
        """Add sentences in the next slots, from the keys and values of each layer, [rows, kv_heads, columns,
        head_dim].

        `seen` and `positions` are [rows, columns]. Only the first `counts[i]` columns of row `i` are in use; the rest
        is padding and will be overwritten.
        """
        slots = slice(len(self.counts), len(self.counts) + len(counts))
        columns = seen.shape[1]
        self._make_room(slots.stop, columns)
        for number, pair in enumerate(read):
            for part, tensor in enumerate(pair):
                # [rows, columns, kv_heads, head_dim]
                self.store[number, part, slots, :columns] = tensor.transpose(1, 2)
        self.seen[slots] = F.pad(seen, (0, self.seen.shape[2] - columns))[:, None]
        self.positions[slots, :columns] = positions
        self.counts += counts

    def _make_room(self, slots: int, columns: int) -> None:
        """Enlarge the tensors to at least so many slots and columns, with columns to spare."""
        old_slots, old_columns = self.store.shape[2:4]
        if slots <= old_slots and columns <= old_columns:
            return
        slots = max(slots, old_slots)
        columns = old_columns if columns <= old_columns else columns + columns // 2
        layers, two, _, _, *rest = self.store.shape
        store = self.store.new_zeros(layers, two, slots, columns, *rest)
        store[:, :, :old_slots, :old_columns] = self.store
        seen = self.seen.new_zeros(slots, self.beam, columns)
        seen[:old_slots, :, :old_columns] = self.seen
        positions = self.positions.new_zeros(slots, columns)
        positions[:old_slots, :old_columns] = self.positions
        self.store, self.seen, self.positions = store, seen, positions

    def reorder(self, order: list[int]) -> None:
        """Move the sentence of slot `order[i]` to slot `i` and drop the rest; `order[i]` is `i` or at least
        `len(order)`."""
        for slot, other in enumerate(order):
            if slot != other:
                width = self.counts[other]
                self.store[:, :, slot, :width] = self.store[:, :, other, :width]
                self.seen[slot], self.positions[slot] = self.seen[other], self.positions[other]
        self.counts = [self.counts[other] for other in order]

    def advance(self, parents: torch.Tensor, following: torch.Tensor) -> None:
        """Reserve a column for the next token of each beam; beam `b` continues beam `parents[:, b]` of its sentence.

        `parents` is [slots, beam]. The next token has position `following` [slots]. A column that no beam attends to
        is reused.
        """
        slots, width = len(self.counts), max(self.counts) + self.beam
        self._make_room(slots, width)
        # each beam takes its parent's row: [slots, beam, width]
        seen = self.seen[:slots, :, :width].take_along_dim(parents[..., None], 1)
        free = torch.arange(width, device=seen.device).where(~seen.any(1), width)  # [slots, width]
        columns = free.topk(self.beam, largest=False).values  # [slots, beam]
        self.seen[:slots, :, :width] = seen.scatter_(2, columns[..., None], True)
        # [slots] -> [slots, beam]
        self.positions[:slots].scatter_(1, columns, following[:, None].expand_as(columns))
        first = torch.arange(slots, device=columns.device) * self.store.shape[3]  # of each slot among all columns
        self.reserved = (first[:, None] + columns).flatten()  # [slots * beam]
        last = columns.amax(1).tolist()
        self.counts = [max(count, column + 1) for count, column in zip(self.counts, last, strict=True)]

    def mask(self) -> torch.Tensor:
        """Attention mask of the beams, [slots, 1, beam, width]."""
        return self.seen[: len(self.counts), None, :, : max(self.counts)]

    def columns_at(self) -> torch.Tensor:
        """Positions of the columns, [slots, width]."""
        return self.positions[: len(self.counts), : max(self.counts)]

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_, **__) -> tuple[torch.Tensor, ...]:
        """Store the new tokens' keys and values [slots, kv_heads, beam, head_dim] in the columns that `advance`
        reserved.

        Returns all keys and values of the layer, each [slots, kv_heads, width, head_dim].
        """
        slots, width = len(self.counts), max(self.counts)
        for part, tensor in enumerate((keys, values)):
            # [slots, kv_heads, beam, head_dim] -> [slots * beam, kv_heads, head_dim]
            own = tensor.transpose(1, 2).flatten(0, 1)
            self.store[layer_idx, part].flatten(0, 1).index_copy_(0, self.reserved, own)
        # [slots, kv_heads, width, head_dim] each
        return tuple(self.store[layer_idx, :, :slots, :width].transpose(2, 3))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Always 0: positions differ by sentence and are passed to the model."""
        return 0  # positions are given: they differ by sentence


class Sources(Beams):
    """Keys and values of the sources for cross-attention, the same for all beams of a sentence. They never grow."""

    def __init__(self, shape: Shape, dtype: torch.dtype, device: torch.device):
        super().__init__(shape, 1, dtype, device)

    def prefill(self, *arguments) -> None:
        """Add sources in the next slots; arguments as in `Beams.prefill`."""
        super().prefill(*arguments)
        self._show()

    def reorder(self, order: list[int]) -> None:
        """Move and drop sources as `Beams.reorder` does."""
        super().reorder(order)
        self._show()

    def _show(self) -> None:
        """Set `layers`, where transformers' models look for cross-attention keys and values."""
        slots, width = len(self.counts), max(self.counts, default=0)
        shown = self.store[:, :, :slots, :width].transpose(3, 4)  # [layers, 2, slots, kv_heads, width, head_dim]
        self.layers = [SimpleNamespace(keys=keys, values=values) for keys, values in shown]
