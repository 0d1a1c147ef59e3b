"""Encoder-decoder models (BART, T5, ...), with a prefix at three attention sites: encoder, decoder, cross-attention."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel, PreTrainedTokenizerBase

from stages.core.errors import UserError
from stages.models.adaptation import CROSS, DECODER, ENCODER, Adaptation, rows_of
from stages.models.attached import adapted
from stages.models.attention import Observed, prefixed, record_attention
from stages.models.batches import Batch, Example
from stages.models.caches import Beams, Sources, prefix_kv_of
from stages.models.model import DecodingState, GenerativeLM, Shape, outermost_lists, padded, targets_of
from stages.models.positions import at


class EncoderDecoder(GenerativeLM):
    """An encoder-decoder language model.

    Raises UserError if its config has no `decoder_start_token_id`.
    """

    family = "encoder-decoder"

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str):
        if model.config.decoder_start_token_id is None:
            raise UserError(f"the config of model {name} names no decoder_start_token_id, which begins every target")
        super().__init__(model, tokenizer, name)

    def find_shapes(self) -> Mapping[str, Shape]:
        """See `LM.find_shapes`; limits `positions` to the smallest attention window, because our masks have no
        window."""
        windows = [one.window for seen in self._observed.values() for one in seen if one.window is not None]
        if windows:  # our masks have no window
            self.positions = min(*windows, self.positions or windows[0])
        return {
            site: Shape(len(modules), *self._observed[site][0].keys.shape[1::2]) for site, modules in self.sites.items()
        }

    @cached_property
    def _observed(self) -> dict[str, list[Observed]]:
        """Each attention by site, recorded while the encoder reads two tokens and the decoder one.

        Raises UserError if a site has no attention that goes through transformers' interface.
        """
        encoder = {id(module) for module in self.model.get_encoder().modules()}
        seen: dict[str, list] = {ENCODER: [], DECODER: [], CROSS: []}
        for one in self._watch([[self.end, self.end]], [[self.start]]):
            across = DECODER if one.keys.shape[2] == 1 else CROSS  # one key: the decoder's own token
            seen[ENCODER if id(one.module) in encoder else across].append(one)
        if not all(seen.values()):
            raise UserError(
                f"model {self.name} does not compute attention by transformers' interface: no place for a prefix"
            )
        return seen

    @torch.no_grad()
    def _watch(self, source: list[list[int]], target: list[list[int]]) -> list[Observed]:
        """Record each attention while the model reads ids [batch, length] of a source and of a target."""
        with record_attention() as seen:
            self.model(
                input_ids=torch.tensor(source, device=self.device),
                decoder_input_ids=torch.tensor(target, device=self.device),
                use_cache=False,
            )
        return seen

    @property
    def sites(self) -> Mapping[str, list[nn.Module]]:
        """The attention modules by site, in the order of the layers."""
        return {site: [one.module for one in seen] for site, seen in self._observed.items()}

    @property
    def start(self) -> int:
        """Id that the decoder reads before the first target token."""
        return self.model.config.decoder_start_token_id

    @cached_property
    def _logit_scale(self) -> float:
        """Factor of the hidden states before the output matrix: T5 scales them."""
        return self.width**-0.5 if getattr(self.model.config, "scale_decoder_outputs", False) else 1.0

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [..., vocabulary] of hidden states [..., width], with T5's scale and BART's bias."""
        logits = self.model.get_output_embeddings()(hidden * self._logit_scale)
        bias = getattr(self.model, "final_logits_bias", None)
        return logits if bias is None else logits + bias[0]

    def own_logits(self, example: Example) -> torch.Tensor:
        """See `GenerativeLM.own_logits`."""
        before = [[self.start, *example.target[:-1]]]
        return self.model(
            input_ids=torch.tensor([example.source], device=self.device),
            decoder_input_ids=torch.tensor(before, device=self.device),
        ).logits[0]

    def blocks(self) -> list[nn.Module]:
        """The encoder's blocks, then the decoder's."""
        return outermost_lists(self.model.get_encoder()) + outermost_lists(self.model.get_decoder())

    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of sources with the tokenizer's special tokens, cut at `most` tokens in all."""
        return self._tokens(texts, most)

    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of targets up to the end token, cut at `most` tokens in all.

        What the tokenizer appends after the end token (mBART: a language) is dropped: the decoder must not generate
        it.
        """
        rows = []
        for ids in self._tokens(texts, most):
            last = len(ids) - 1 - ids[::-1].index(self.end) if self.end in ids else len(ids)
            rows.append([*ids[:last][: most and most - 1], self.end])
        return rows

    def _tokens(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids with the tokenizer's special tokens (BART: `<s> text </s>`, T5: `text </s>`), cut at `most` in all."""
        stripped = [text.strip() for text in texts]
        return self.tokens(stripped, truncation=most is not None, max_length=most)

    @torch.no_grad()
    def check_vectors(self) -> None:
        """Raises UserError if the encoder does not use token embeddings as they are (scales them, say).

        Prompt vectors and token embeddings would then not be comparable.
        """
        encoder, ids = self.model.get_encoder(), torch.tensor([[self.end, self.end]], device=self.device)
        vectors = self.model.get_input_embeddings()(ids)
        found = (encoder(**read).last_hidden_state for read in ({"input_ids": ids}, {"inputs_embeds": vectors}))
        if not torch.allclose(*found, atol=1e-4, rtol=1e-4):
            raise UserError(f"model {self.name} scales the vectors of its tokens: prompts are not supported")

    def num_virtual_tokens(self, adaptation: Adaptation) -> int:
        """Length of the prompt, which the encoder reads like tokens; a prefix takes no positions."""
        return 0 if adaptation.prompt is None else adaptation.prompt.shape[1]

    def room(self, adaptation: Adaptation) -> int | None:
        """Positions left for a source beside the prompt. None: no limit."""
        return self.positions and self.positions - self.num_virtual_tokens(adaptation)

    def check_max_length(self, source: int, target: int, length: int) -> None:
        """Raises UserError if prompt and source, or the target, exceed the model's positions."""
        if self.positions is not None and max(length + source, target) > self.positions:
            prompt = f"a prompt of {length} before " if length else ""
            raise UserError(
                f"params.yaml: {prompt}a source of {source} and a target of {target} tokens: one exceeds the "
                f"{self.positions} positions of {self.name}; set cut.source_tokens to {self.positions - length} or "
                f"cut.target_tokens to {self.positions} at most"
            )

    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """See `LM.activations`: both the encoder and the decoder read `ids`."""
        found: dict[str, list[torch.Tensor]] = {site: [] for site in self.sites}
        site_of = {id(module): site for site, modules in self.sites.items() for module in modules}
        for one in self._watch([ids], [ids]):
            found[site_of[id(one.module)]].append(torch.stack([one.keys[0], one.values[0]]))
        return {site: torch.stack(layers) for site, layers in found.items()}

    def target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        """See `LM.target_hidden`."""
        ids, mask = padded([e.source for e in batch.examples], self.device, self.room(adaptation))
        before, own = padded([[self.start, *e.target[:-1]] for e in batch.examples], self.device, self.positions)
        with prefixed(self.sites, adaptation, batch.runs), adapted(adaptation, batch.runs):
            encoded, mask = self.read_source(ids, mask, adaptation, batch.runs)
            hidden = self.read_target(before, own, encoded, mask)
        return targets_of(hidden, batch, [0] * len(batch.examples))

    def read_source(
        self, ids: torch.Tensor, mask: torch.Tensor, adaptation: Adaptation, runs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode sources: ids and mask [batch, length], row `i` with the adaptation of run `runs[i]`.

        Returns hidden states [batch, prompt + length, width] and their mask [batch, prompt + length].
        """
        encoder = self.model.get_encoder()
        if adaptation.prompt is None:
            return encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask
        prompt = rows_of(adaptation.prompt, runs).to(self.dtype)
        inputs = torch.cat([prompt, self.model.get_input_embeddings()(ids)], 1)
        mask = nn.functional.pad(mask, (prompt.shape[1], 0), value=True)
        return encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state, mask

    def read_target(
        self,
        ids: torch.Tensor,
        own_mask: torch.Tensor | None,
        encoded: torch.Tensor,
        mask: torch.Tensor,
        cache: EncoderDecoderCache | None = None,
    ) -> torch.Tensor:
        """The decoder's hidden states [batch, length, width] of `ids` [batch, length], read after what the cache
        holds.

        `own_mask` [batch, length] or [batch, 1, length, columns] masks self-attention (None: causal); `encoded` and
        `mask` are what `read_source` returns.
        """
        return self.model.get_decoder()(
            input_ids=ids,
            attention_mask=own_mask,
            encoder_hidden_states=encoded,
            encoder_attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state

    def memory(self, adaptation: Adaptation, beam: int) -> "_DecodingState":
        """See `GenerativeLM.memory`."""
        return _DecodingState(self, adaptation, beam)


class _DecodingState(DecodingState):
    """Decoding state of an encoder-decoder model: a cache of the targets, and one of the encoded sources."""

    def __init__(self, lm: EncoderDecoder, adaptation: Adaptation, beam: int):
        self.lm, self.adaptation, self.beam = lm, adaptation, beam
        self.own = Beams(lm.shapes[DECODER], beam, lm.dtype, lm.device)
        self.sources = Sources(lm.shapes[CROSS], lm.dtype, lm.device)
        self.read: list[int] = []  # tokens read of each target, by slot
        # The same on the device, and the run of each slot: [slots].
        self.following, self.runs = torch.zeros(2, 0, dtype=torch.long, device=lm.device)
        self.no_states = torch.zeros(1, 1, lm.width, dtype=lm.dtype, device=lm.device)  # cross-attention is cached

    def prefill(
        self, sources: list[list[int]], runs: torch.Tensor, adaptation: Adaptation | None = None
    ) -> torch.Tensor:
        """See `DecodingState.prefill`; encodes the sources, and the decoder reads its start token."""
        adaptation = self.adaptation if adaptation is None else adaptation
        ids, mask = padded(sources, self.lm.device, self.lm.room(adaptation))
        start = torch.full_like(ids[:, :1], self.lm.start)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        with prefixed(self.lm.sites, adaptation, runs), adapted(adaptation, runs):
            encoded, mask = self.lm.read_source(ids, mask, adaptation, runs)
            hidden = self.lm.read_target(start, None, encoded, mask, cache)
        first = torch.ones_like(mask[:, :1])
        self._store(self.own, DECODER, cache.self_attention_cache, first, adaptation, runs)
        self._store(self.sources, CROSS, cache.cross_attention_cache, mask, adaptation, runs)
        self.read += [1] * len(ids)
        self.following = torch.cat([self.following, torch.ones_like(runs)])
        self.runs = torch.cat([self.runs, runs])
        return hidden[:, -1]

    def _store(
        self,
        beams: Beams,
        site: str,
        read: DynamicCache,
        text: torch.Tensor,
        adaptation: Adaptation,
        runs: torch.Tensor,
    ) -> None:
        """Cache what was read, after the site's prefix; `text` is [rows, length], True for tokens."""
        past = prefix_kv_of(adaptation, site, self.lm.shapes[site], runs, self.lm.dtype)
        layers = [
            (torch.cat([keys, layer.keys], 2), torch.cat([values, layer.values], 2))
            for (keys, values), layer in zip(past.by_layer(len(text)), read.layers, strict=True)
        ]
        # A prefix takes no text positions: prefix positions are negative, text starts at 0. [rows, columns + length]
        positions = torch.arange(-past.columns, text.shape[1], device=text.device).expand(len(text), -1)
        beams.prefill(layers, past.seen_with(text), positions, (past.columns + text.sum(1)).tolist())

    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """See `DecodingState.step`."""
        self.own.advance(parents, self.following)
        cache = EncoderDecoderCache(self.own, self.sources)
        cache.is_updated = dict.fromkeys(range(len(self.sources.layers)), True)
        decoder = self.lm.model.get_decoder()
        positions = at(decoder, self.following, self.own.columns_at(), self.beam, max(self.read) + 1)
        with positions, adapted(self.adaptation, self.runs):
            hidden = self.lm.read_target(tokens, self.own.mask(), self.no_states, self.sources.mask(), cache)
        self.read = [count + 1 for count in self.read]
        self.following = self.following + 1
        return hidden

    def reorder(self, order: list[int]) -> None:
        """See `DecodingState.reorder`."""
        self.own.reorder(order)
        self.sources.reorder(order)
        self.read = [self.read[other] for other in order]
        self.following, self.runs = self.following[order], self.runs[order]
