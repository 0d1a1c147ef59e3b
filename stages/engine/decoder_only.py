"""Decoder-only models (GPT-2, Llama, ...): the text is `source <separator> target <end>` behind the prefix."""

from collections.abc import Mapping

import torch
from transformers import Cache

from stages.engine.batches import Batch, Example
from stages.engine.model import LM, Continuation, Shape, outermost_lists, padded
from stages.engine.steering import DECODER, Infix, Steering, cache_as_prefix, prefix_cache, rows_of
from stages.errors import UserError


class DecoderOnly(LM):
    family = "decoder-only"

    @property
    def separator(self) -> int:
        """Id between source and target: beginning of text, for GPT-2 the same as its end (authors' language_modeling.py)."""
        bos = self.tokenizer.bos_token_id
        return self.end if bos is None else bos

    def find_shapes(self) -> Mapping[str, Shape]:
        return {DECODER: shape_of(self.config)}

    def blocks(self) -> list[torch.nn.Module]:
        return outermost_lists(self.model.base_model)

    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """A space, then the source; the separator is put behind it later (behind an infix, if there is one)."""
        spaced = [" " + text.rstrip() for text in texts]
        return [ids[:most] for ids in self.tokenizer(spaced, add_special_tokens=False)["input_ids"]]

    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """The authors feed ` source <|endoftext|> target <|endoftext|>` to a tokenizer that drops the spaces
        beside the special token: the target begins without one."""
        stripped = [text.strip() for text in texts]
        return [[*ids[:most], self.end] for ids in self.tokenizer(stripped, add_special_tokens=False)["input_ids"]]

    def check_room(self, source: int, target: int, length: int) -> None:
        # The separator is read, the last token of the target is not.
        if self.positions is not None and length + source + target > self.positions:
            raise UserError(
                f"params.yaml: prefix_len {length}, a source of {source} and a target of {target} tokens exceed the "
                f"{self.positions} positions of {self.name}: shorten one, or set cut.source_tokens"
            )

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.model.get_output_embeddings()(hidden)

    def own_logits(self, example: Example) -> torch.Tensor:
        ids = [[*example.source, self.separator, *example.target[:-1]]]
        return self.model(input_ids=torch.tensor(ids, device=self.device)).logits[0, len(example.source) :]

    def hidden(
        self,
        inputs: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Last hidden states [batch, length, width] of `inputs` behind what the cache holds, which grows by them.

        `inputs` are ids [batch, length] or vectors [batch, length, width]; `positions` is [batch, length], `mask`
        [batch, cached + length], 0 for padding.
        """
        return self.model.base_model(
            **_named(inputs), attention_mask=mask, position_ids=positions, past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state  # fmt: skip

    def cache_of(self, inputs: torch.Tensor) -> torch.Tensor:
        """Keys and values [batch, layers, 2, kv_heads, len, head_dim] of ids or vectors; gradients flow through."""
        return cache_as_prefix(self.model.base_model(**_named(inputs), use_cache=True).past_key_values)

    @torch.no_grad()
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        return {DECODER: self.cache_of(torch.tensor([ids], device=self.device))[0]}

    def target_hidden(self, batch: Batch, steering: Steering) -> torch.Tensor:
        if steering.infix is not None:
            return self._hidden_behind_infix(batch, steering.infix)
        texts = [[*e.source, self.separator, *e.target[:-1]] for e in batch.examples]
        ids, mask = padded(texts, self.device)
        prefix = steering.prefixes.get(DECODER)
        length = 0 if prefix is None else prefix.shape[4]
        positions = length + torch.arange(ids.shape[1], device=self.device).expand_as(ids)
        cache = None if prefix is None else prefix_cache(prefix, batch.runs)
        whole = torch.cat([mask.new_ones(len(ids), length), mask], 1)
        # Tokens of the target are predicted from the separator on.
        starts = torch.tensor([len(e.source) for e in batch.examples], device=self.device)[:, None]
        predicting = mask.bool() & (torch.arange(ids.shape[1], device=self.device) >= starts)
        return self.hidden(ids, whole, positions, cache)[predicting]

    def _hidden_behind_infix(self, batch: Batch, infix: Infix) -> torch.Tensor:
        cache, mask, following = self._read_infix([e.source for e in batch.examples], infix, batch.runs)
        ids, own = padded([[self.separator, *e.target[:-1]] for e in batch.examples], self.device)
        positions = following[:, None] + torch.arange(ids.shape[1], device=self.device)
        return self.hidden(ids, torch.cat([mask, own], 1), positions, cache)[own.bool()]

    def _read_infix(
        self, sources: list[list[int]], infix: Infix, runs: torch.Tensor
    ) -> tuple[Cache, torch.Tensor, torch.Tensor]:
        """Read [source; infix]: the cache, its mask [batch, cached], and the next position [batch].

        The offsets join the cache when the reading is done: they change what follows, not the infix itself
        (authors' train_control.py). The separator follows, so that the first token of the target is predicted
        from a place that attends to the infix.
        """
        ids, mask = padded(sources, self.device)
        vectors, offsets = rows_of(infix.embeddings, runs), rows_of(infix.offsets, runs)
        length, lengths = vectors.shape[1], mask.sum(1)
        steps = torch.arange(max(ids.shape[1], length), device=self.device)
        inputs = torch.cat([self.model.get_input_embeddings()(ids), vectors], 1)
        positions = torch.cat(
            [steps[: ids.shape[1]].expand_as(ids), lengths[:, None] + steps[:length]], 1
        )  # [batch, source + len]
        mask = torch.cat([mask, mask.new_ones(len(ids), length)], 1)
        empty = prefix_cache(_empty(self.shapes[DECODER], self.device), runs)
        self.hidden(inputs, mask, positions, empty)
        behind = ids.shape[1]
        for number, layer in enumerate(empty.layers):
            # offsets: [batch, layers, 2, kv_heads, len, head_dim]
            for part, name in enumerate(("keys", "values")):
                read = getattr(layer, name)
                setattr(
                    layer, name, torch.cat([read[:, :, :behind], read[:, :, behind:] + offsets[:, number, part]], 2)
                )
        return empty, mask, lengths + length

    def open(self, sources: list[list[int]], steering: Steering, runs: torch.Tensor) -> tuple["_Rows", torch.Tensor]:
        if steering.infix is not None:
            rows = _Rows(self, *self._read_infix(sources, steering.infix, runs))
            return rows, rows.step(torch.full((len(sources),), self.separator, device=self.device))
        ids, real = padded([[*source, self.separator] for source in sources], self.device, left=True)
        prefix = steering.prefixes.get(DECODER)
        if prefix is None:
            prefix = _empty(self.shapes[DECODER], self.device)
        length = prefix.shape[4]
        mask = torch.cat([real.new_ones(len(ids), length), real], 1)
        positions = (length + real.cumsum(1) - 1).clamp(min=length)
        cache = prefix_cache(prefix, runs)
        hidden = self.hidden(ids, mask, positions, cache)
        return _Rows(self, cache, mask, positions[:, -1] + 1), hidden[:, -1]


class _Rows(Continuation):
    def __init__(self, lm: DecoderOnly, cache: Cache, mask: torch.Tensor, following: torch.Tensor):
        self.lm, self.cache = lm, cache
        self.mask = mask  # [rows, cached]
        self.following = following  # the next token's position, [rows]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        hidden = self.lm.hidden(ids[:, None], self.mask, self.following[:, None], self.cache)
        self.following = self.following + 1
        return hidden[:, -1]

    def select(self, rows: torch.Tensor) -> None:
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys.index_select(0, rows), layer.values.index_select(0, rows)
        self.mask, self.following = self.mask[rows], self.following[rows]


def shape_of(config) -> Shape:
    """The cache's shape from a transformers config (grouped-query models have fewer key-value heads)."""
    config = config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )


def _named(inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Ids [batch, length] or vectors [batch, length, width], as transformers calls them."""
    return {"input_ids": inputs} if inputs.ndim == 2 else {"inputs_embeds": inputs}


def _empty(shape: Shape, device: torch.device) -> torch.Tensor:
    """The prefix of length 0."""
    return torch.zeros(1, shape.layers, 2, shape.kv_heads, 0, shape.head_dim, device=device)
