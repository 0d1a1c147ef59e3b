"""Decoder-only models (GPT-2, Llama, ...): the text is `source <separator> target <end>` behind the prefix."""

from collections.abc import Mapping

import torch
from torch.nn import functional as F
from transformers import Cache

from stages.engine.attention import observed
from stages.engine.batches import Batch, Example, onto
from stages.engine.caches import Beams, Behind, Past, Read, past_of
from stages.engine.gates import gated
from stages.engine.held import adapted
from stages.engine.model import Memory, Shape, Writer, outermost_lists, padded, targets_of
from stages.engine.steering import DECODER, Infix, Steering, rows_of
from stages.errors import UserError


class DecoderOnly(Writer):
    family = "decoder-only"

    @property
    def separator(self) -> int:
        """Id between source and target: beginning of text, for GPT-2 the same as its end (authors' language_modeling.py)."""
        bos = self.tokenizer.bos_token_id
        return self.end if bos is None else bos

    @torch.no_grad()
    def find_shapes(self) -> Mapping[str, Shape]:
        shape = shape_of(self.config)
        with observed() as seen:
            self.model(input_ids=torch.tensor([[self.end]], device=self.device))
        if len(seen) != shape.layers:  # it would take beams, which are read side by side, for a text
            raise UserError(f"model {self.name} does not compute attention by transformers' interface")
        return {DECODER: shape}

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
        self, inputs: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache | None
    ) -> torch.Tensor:
        """Last hidden states [batch, length, width] of `inputs` behind what the cache holds.

        `inputs` are ids [batch, length] or vectors [batch, length, width]; `positions` is [batch, length], `mask`
        [batch or 1, 1, length, columns of the cache], True for what a token sees.
        """
        if self.positions is not None:
            positions = positions.clamp(max=self.positions - 1)  # padding may stand behind the last one
        return self.model.base_model(
            **self._named(inputs), attention_mask=mask, position_ids=positions, past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state  # fmt: skip

    def cache_of(self, inputs: torch.Tensor) -> torch.Tensor:
        """Keys and values [batch, layers, 2, kv_heads, len, head_dim] of ids or vectors; gradients flow through."""
        read, length = Read(), inputs.shape[1]
        steps = torch.arange(length, device=self.device)
        self.hidden(inputs, (steps <= steps[:, None])[None, None], steps.expand(len(inputs), -1), read)
        return read.as_prefix()

    def _named(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Ids or vectors, as transformers calls them."""
        return {"input_ids": inputs} if inputs.ndim == 2 else {"inputs_embeds": inputs.to(self.dtype)}

    @torch.no_grad()
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        return {DECODER: self.cache_of(torch.tensor([ids], device=self.device))[0]}

    def target_hidden(self, batch: Batch, steering: Steering) -> torch.Tensor:
        with adapted(steering, batch.runs):
            return self._target_hidden(batch, steering)

    def _target_hidden(self, batch: Batch, steering: Steering) -> torch.Tensor:
        before, past = self.past([example.source for example in batch.examples], steering, batch.runs)
        rows = zip(before, batch.examples, strict=True)
        ids, _ = padded([[*source, self.separator, *example.target[:-1]] for source, example in rows], self.device)
        positions = past.following[:, None] + torch.arange(ids.shape[1], device=self.device)
        cache = Behind(past, len(ids))
        lengths = onto(self.device, torch.tensor([len(source) for source in before]))
        given = torch.arange(ids.shape[1], device=self.device) <= lengths[:, None]  # source and separator
        with gated(self.blocks(), steering, given, batch.runs, cache.multiply):
            hidden = self.hidden(ids, past.mask(ids.shape[1]), positions, cache)
        return targets_of(hidden, batch, [len(source) for source in before])  # predicted from the separator on

    def past(self, sources: list[list[int]], steering: Steering, runs: torch.Tensor) -> tuple[list[list[int]], Past]:
        """What is to be read of each source, and what it stands behind: an infix leaves nothing to be read."""
        if steering.infix is not None:
            return [[] for _ in sources], self._read_infix(sources, steering.infix, runs)
        return sources, self._prefix(steering, runs)

    def _prefix(self, steering: Steering, runs: torch.Tensor) -> Past:
        return past_of(steering, DECODER, self.shapes[DECODER], runs, self.dtype)

    def _read_infix(self, sources: list[list[int]], infix: Infix, runs: torch.Tensor) -> Past:
        """Read [source; infix].

        The offsets join the cache when the reading is done: they change what follows, not the infix itself
        (authors' train_control.py). The separator follows, so that the first token of the target is predicted
        from a place that attends to the infix.
        """
        ids, text = padded(sources, self.device)
        vectors, offsets = rows_of(infix.embeddings, runs), rows_of(infix.offsets, runs)
        behind, length, lengths = ids.shape[1], vectors.shape[1], text.sum(1)
        inputs = torch.cat([self.model.get_input_embeddings()(ids), vectors.to(self.dtype)], 1)
        steps = torch.arange(max(behind, length), device=self.device)
        positions = torch.cat([steps[:behind].expand_as(ids), lengths[:, None] + steps[:length]], 1)
        visible = torch.cat([text, text.new_ones(len(ids), length)], 1)  # [batch, source + len]
        itself = torch.eye(behind + length, dtype=torch.bool, device=self.device)  # so that padding sees something
        causal, read = self._prefix(Steering(), runs).mask(behind + length), Read()
        self.hidden(inputs, causal & (visible[:, None, None] | itself), positions, read)
        offsets = F.pad(offsets, (0, 0, behind, 0))  # [batch, layers, 2, kv_heads, source + len, head_dim]
        return Past(read.as_prefix() + offsets.to(self.dtype), visible, lengths + length)

    def memory(self, steering: Steering, beam: int) -> "_Memory":
        return _Memory(self, steering, beam)


class _Memory(Memory):
    def __init__(self, lm: DecoderOnly, steering: Steering, beam: int):
        self.lm, self.steering = lm, steering
        self.beams = Beams(lm.shapes[DECODER], beam, lm.dtype, lm.device)
        self.following, self.runs = torch.zeros(
            2, 0, dtype=torch.long, device=lm.device
        )  # next position, run: [places]

    def enter(self, sources: list[list[int]], runs: torch.Tensor) -> torch.Tensor:
        before, past = self.lm.past(sources, self.steering, runs)
        ids, text = padded([[*source, self.lm.separator] for source in before], self.lm.device)
        positions = past.following[:, None] + torch.arange(ids.shape[1], device=self.lm.device)
        cache = past.opened(len(ids))
        with adapted(self.steering, runs), gated(self.lm.blocks(), self.steering, text, runs, cache.multiply):
            hidden = self.lm.hidden(ids, past.mask(ids.shape[1]), positions, cache)
        lengths = [len(source) + 1 for source in before]
        read = [(layer.keys, layer.values) for layer in cache.layers]
        self.beams.enter(read, past.seen_with(text), [past.columns + length for length in lengths])
        last = onto(self.lm.device, torch.tensor(lengths)) - 1
        self.following = torch.cat([self.following, past.following + last + 1])
        self.runs = torch.cat([self.runs, runs])
        return hidden[torch.arange(len(ids), device=self.lm.device), last]

    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        self.beams.advance(parents)
        positions = self.following[:, None].expand_as(tokens)
        self.following = self.following + 1
        with adapted(self.steering, self.runs):
            return self.lm.hidden(tokens, self.beams.mask(), positions, self.beams)

    def keep(self, order: list[int]) -> None:
        self.beams.keep(order)
        self.following, self.runs = self.following[order], self.runs[order]


def shape_of(config) -> Shape:
    """The cache's shape from a transformers config (grouped-query models have fewer key-value heads)."""
    config = config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )
