"""Decoder-only models (GPT-2, Llama, ...): after the prefix they read `source <separator> target <end>`.

Some tokenizers begin every text with a token (Llama's `<s>`, Gemma's `<bos>`; not GPT-2's). A model trained so expects
that token at position 0 and reads texts badly without it. Therefore it comes before the prefix and does not attend to
it: its keys and values are those of the model's own training, and the prefix follows it as text would.
"""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch.nn import functional as F
from transformers import Cache

from stages.core.errors import UserError
from stages.models.adaptation import DECODER, Adaptation, Infix, rows_of
from stages.models.attached import adapted
from stages.models.attention import record_attention
from stages.models.batches import Batch, Example, to_device
from stages.models.caches import Beams, KVRecorder, PrefixCache, PrefixKV, prefix_kv_of
from stages.models.gates import gated
from stages.models.model import DecodingState, GenerativeLM, Shape, outermost_lists, padded, targets_of


class DecoderOnly(GenerativeLM):
    """A decoder-only language model. It has one attention site, `DECODER`."""

    family = "decoder-only"

    @property
    def separator(self) -> int:
        """Id between source and target: the begin token, or the end token if there is none (authors'
        language_modeling.py)."""
        bos = self.tokenizer.bos_token_id
        return self.end if bos is None else bos

    @cached_property
    def begin(self) -> list[int]:
        """Ids that the tokenizer puts before every text: none or, as a rule, one."""
        bare, whole = (self.tokenizer("x", add_special_tokens=special)["input_ids"] for special in (False, True))
        return next((whole[:i] for i in range(len(whole)) if whole[i : i + len(bare)] == bare), [])

    @torch.no_grad()
    def find_shapes(self) -> Mapping[str, Shape]:
        """See `LM.find_shapes`; also sets `window`, the smallest sliding window of a layer. If the model does not pass
        `distances` on to its attention, `positions` is limited to the window instead.

        Raises UserError for a model with layers whose attention mask cannot be set from outside, or with keys and
        values of different shapes.
        """
        token = torch.tensor([[self.end]], device=self.device)
        with record_attention() as seen:
            self.model(input_ids=token)
        # Recurrent layers have no keys. Other attention code would read the beams of a sentence as one text.
        if not seen or len(seen) != self.config.num_hidden_layers:
            raise UserError(
                f"model {self.name} does not compute attention by transformers' interface in all of its layers"
            )
        windows = [one.window for one in seen if one.window is not None]
        self.window = min(windows, default=None)
        if windows:
            with record_attention() as seen:
                self.model(input_ids=token, distances=torch.zeros(1, 1, 1, 1, dtype=torch.long, device=self.device))
            if not all(one.knows_distances for one in seen if one.window is not None):
                self.positions, self.window = min(self.window, self.positions or self.window), None
        if len({one.keys.shape for one in seen} | {one.values.shape for one in seen}) > 1:
            raise UserError(
                f"model {self.name} has keys and values of several shapes, which a prefix cannot be a part of"
            )
        read = KVRecorder()  # the cache may have fewer heads than the attention computes with
        self.model(input_ids=token, past_key_values=read, use_cache=True)
        _, layers, _, heads, _, head_dim = read.as_prefix().shape
        return {DECODER: Shape(layers, heads, head_dim)}

    def blocks(self) -> list[torch.nn.Module]:
        """The decoder's blocks."""
        return outermost_lists(self.model.base_model)

    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of ` source` with the begin token, cut at `most` tokens. The separator is appended later, after any
        infix.

        No space is added for a tokenizer that adds one itself, where a second one would become a separate token.
        """
        spaced = [self.space + text.rstrip() if self.space else text.strip() for text in texts]
        return [[*self.begin, *ids][:most] for ids in self.tokens(spaced, add_special_tokens=False)]

    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of `target <end>`, with at most `most` tokens before the end token.

        The target has no space before it: the authors' tokenizer drops the spaces beside `<|endoftext|>`.
        """
        stripped = [text.strip() for text in texts]
        return [[*ids[:most], self.end] for ids in self.tokens(stripped, add_special_tokens=False)]

    def check_max_length(self, source: int, target: int, length: int) -> None:
        """Raises UserError if prefix, source and target together exceed the model's positions."""
        # The separator is read, the last token of the target is not.
        if self.positions is not None and length + source + target > self.positions:
            raise UserError(
                f"params.yaml: {length} virtual tokens (prefix_len, or the text of in_context), a source of {source} and a "
                f"target of {target} tokens exceed the {self.positions} positions of {self.name}: shorten one, or set "
                "cut.source_tokens"
            )

    @cached_property
    def _logit_scale(self) -> float:
        """Factor of the logits: Cohere multiplies by `logit_scale`, Granite divides by `logits_scaling`."""
        return getattr(self.config, "logit_scale", None) or 1 / (getattr(self.config, "logits_scaling", None) or 1.0)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [..., vocabulary] of hidden states [..., width], scaled and soft-capped as the model's config says."""
        logits = self.model.get_output_embeddings()(hidden)
        if self._logit_scale != 1:
            logits = logits * self._logit_scale
        cap = getattr(self.config, "final_logit_softcapping", None)  # Gemma 2 keeps them within it
        return logits if cap is None else cap * (logits / cap).tanh()

    def own_logits(self, example: Example) -> torch.Tensor:
        """See `GenerativeLM.own_logits`."""
        ids = [[*example.source, self.separator, *example.target[:-1]]]
        return self.model(input_ids=torch.tensor(ids, device=self.device)).logits[0, len(example.source) :]

    def hidden(
        self,
        inputs: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        columns_at: torch.Tensor,
        cache: Cache | None,
    ) -> torch.Tensor:
        """Last hidden states [batch, length, width] of `inputs`, read after what the cache holds.

        - `inputs`: ids [batch, length] or embeddings [batch, length, embedding width].
        - `mask` [batch or 1, 1, length, columns]: True for the columns that a token attends to.
        - `positions` [batch, length]: of the inputs.
        - `columns_at` [batch, columns]: the position of each column, for sliding windows.
        """
        windows = {}
        if self.window is not None and mask.shape[-1] > self.window:
            # [batch, 1, length, columns]
            windows = {"distances": (positions[..., None] - columns_at[:, None])[:, None]}
        if self.positions is not None:
            positions = positions.clamp(max=self.positions - 1)  # padding may lie beyond the last one
        return self.model.base_model(
            **self._named(inputs), attention_mask=mask, position_ids=positions, past_key_values=cache,
            use_cache=cache is not None, **windows,
        ).last_hidden_state  # fmt: skip

    def cache_of(self, inputs: torch.Tensor) -> torch.Tensor:
        """Keys and values [batch, layers, 2, kv_heads, len, head_dim] of ids or embeddings, with gradients.

        The inputs are read after the begin token, as a prefix is; the begin token's keys and values are not in the
        result.
        """
        read, first = KVRecorder(), len(self.begin)
        if first:
            # [1, first] -> [batch, first]
            begin = torch.tensor([self.begin], device=self.device).expand(len(inputs), -1)
            if inputs.ndim == 3:
                begin = self.model.get_input_embeddings()(begin).to(inputs.dtype)
            inputs = torch.cat([begin, inputs], 1)
        steps = torch.arange(inputs.shape[1], device=self.device)
        positions = steps.expand(len(inputs), -1)  # [length] -> [batch, length]
        self.hidden(inputs, (steps <= steps[:, None])[None, None], positions, positions, read)
        return read.as_prefix()[..., first:, :]

    def _named(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The keyword argument by which transformers takes ids or embeddings."""
        return {"input_ids": inputs} if inputs.ndim == 2 else {"inputs_embeds": inputs.to(self.dtype)}

    @torch.no_grad()
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """Keys and values of a text after the begin token, see `LM.activations`."""
        return {DECODER: self.cache_of(torch.tensor([ids], device=self.device))[0]}

    def target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        """See `LM.target_hidden`; the separator's hidden state predicts the first token of the target."""
        with adapted(adaptation, batch.runs):
            return self._target_hidden(batch, adaptation)

    def _target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        before, past = self.past([example.source for example in batch.examples], adaptation, batch.runs)
        rows = zip(before, batch.examples, strict=True)
        ids, _ = padded([[*source, self.separator, *example.target[:-1]] for source, example in rows], self.device)
        length = ids.shape[1]
        cache = PrefixCache(past, len(ids))
        lengths = to_device(self.device, torch.tensor([len(source) for source in before]))
        steps = torch.arange(length, device=self.device)
        given = (steps >= past.leading) & (steps <= lengths[:, None])  # source and separator, [batch, length]
        with gated(self.blocks(), adaptation, given, batch.runs, cache.multiply):
            positions = past.positions_of(length), past.positions_with(length)
            hidden = self.hidden(ids, past.mask(length), *positions, cache)
        return targets_of(hidden, batch, [len(source) for source in before])  # predicted from the separator on

    def past(
        self, sources: list[list[int]], adaptation: Adaptation, runs: torch.Tensor
    ) -> tuple[list[list[int]], PrefixKV]:
        """The ids still to be read of each source, and the keys and values that come before them.

        With an infix, the sources are read here, and no ids are left.
        """
        if adaptation.infix is not None:
            return [[] for _ in sources], self._read_infix(sources, adaptation.infix, runs)
        return sources, self._prefix(adaptation, runs)

    def _prefix(self, adaptation: Adaptation, runs: torch.Tensor) -> PrefixKV:
        """The decoder's prefix, read after the begin token."""
        return prefix_kv_of(adaptation, DECODER, self.shapes[DECODER], runs, self.dtype, len(self.begin))

    def _read_infix(self, sources: list[list[int]], infix: Infix, runs: torch.Tensor) -> PrefixKV:
        """Read [source; infix] and return its keys and values, the offsets added to those of the infix.

        Offsets are added after the forward pass: they change what follows, not the infix itself (authors'
        train_control.py). The separator comes after the infix, so that the first target token is predicted from a
        position that attends to it.
        """
        ids, text = padded(sources, self.device)
        vectors, offsets = rows_of(infix.embeddings, runs), rows_of(infix.offsets, runs)
        behind, length, lengths = ids.shape[1], vectors.shape[1], text.sum(1)
        inputs = torch.cat([self.model.get_input_embeddings()(ids), vectors.to(self.dtype)], 1)
        steps = torch.arange(max(behind, length), device=self.device)
        # [batch, source + len]
        positions = torch.cat([steps[:behind].expand_as(ids), lengths[:, None] + steps[:length]], 1)
        visible = torch.cat([text, text.new_ones(len(ids), length)], 1)  # [batch, source + len]
        itself = torch.eye(behind + length, dtype=torch.bool, device=self.device)  # padding needs a visible column
        causal, read = self._prefix(Adaptation(), runs).mask(behind + length), KVRecorder()
        self.hidden(inputs, causal & (visible[:, None, None] | itself), positions, positions, read)
        offsets = F.pad(offsets, (0, 0, behind, 0))  # [batch, layers, 2, kv_heads, source + len, head_dim]
        return PrefixKV(read.as_prefix() + offsets.to(self.dtype), visible, positions, lengths + length)

    def memory(self, adaptation: Adaptation, beam: int) -> "_DecodingState":
        """See `GenerativeLM.memory`."""
        return _DecodingState(self, adaptation, beam)


class _DecodingState(DecodingState):
    """Decoding state of a decoder-only model: one cache, `Beams`, for prefix, source and target."""

    def __init__(self, lm: DecoderOnly, adaptation: Adaptation, beam: int):
        self.lm, self.adaptation = lm, adaptation
        self.beams = Beams(lm.shapes[DECODER], beam, lm.dtype, lm.device)
        self.following, self.runs = torch.zeros(2, 0, dtype=torch.long, device=lm.device)  # next position, run: [slots]

    def prefill(
        self, sources: list[list[int]], runs: torch.Tensor, adaptation: Adaptation | None = None
    ) -> torch.Tensor:
        """See `DecodingState.prefill`; reads each source and its separator."""
        adaptation = self.adaptation if adaptation is None else adaptation
        before, past = self.lm.past(sources, adaptation, runs)
        ids, text = padded([[*source, self.lm.separator] for source in before], self.lm.device)
        positions, columns_at = past.positions_of(ids.shape[1]), past.positions_with(ids.shape[1])
        given = text & (torch.arange(ids.shape[1], device=self.lm.device) >= past.leading)
        cache = past.opened(len(ids))
        with adapted(adaptation, runs), gated(self.lm.blocks(), adaptation, given, runs, cache.multiply):
            hidden = self.lm.hidden(ids, past.mask(ids.shape[1]), positions, columns_at, cache)
        lengths = [len(source) + 1 for source in before]
        read = [(layer.keys, layer.values) for layer in cache.layers]
        self.beams.prefill(read, past.seen_with(text), columns_at, [past.columns + length for length in lengths])
        last = to_device(self.lm.device, torch.tensor(lengths)) - 1
        self.following = torch.cat([self.following, past.following + last + 1])
        self.runs = torch.cat([self.runs, runs])
        # [sources, length, width] -> [sources, width]
        return hidden[torch.arange(len(ids), device=self.lm.device), last]

    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """See `DecodingState.step`."""
        self.beams.advance(parents, self.following)
        positions = self.following[:, None].expand_as(tokens)  # [slots] -> [slots, beam]
        self.following = self.following + 1
        with adapted(self.adaptation, self.runs):
            return self.lm.hidden(tokens, self.beams.mask(), positions, self.beams.columns_at(), self.beams)

    def reorder(self, order: list[int]) -> None:
        """See `DecodingState.reorder`."""
        self.beams.reorder(order)
        self.following, self.runs = self.following[order], self.runs[order]
