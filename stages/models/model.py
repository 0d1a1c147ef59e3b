"""A language model as methods, training and decoding see it; what its families share.

The families are in `decoder_only.py` and `encoder_decoder.py`, which write texts, and in `encoder.py`, which gives
classes; `load.py` opens any.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from stages.core.errors import UserError
from stages.core.record import Record
from stages.models.adaptation import Adaptation
from stages.models.attention import NAME as ATTENTION
from stages.models.batches import Batch, Example, to_device


@dataclass(frozen=True)
class Shape:
    """Keys (and values) of one text: `[layers, kv_heads, length, head_dim]`."""

    layers: int
    kv_heads: int
    head_dim: int


class DecodingState(ABC):
    """What the model remembers of the sentences of a beam search, each with `beam` beams, by place."""

    @abstractmethod
    def prefill(self, sources: list[list[int]], runs: torch.Tensor) -> torch.Tensor:
        """Read sources, each with the adaptation of its run; they take the next places.

        Returns hidden states [sources, width] for the first token.
        """

    @abstractmethod
    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """Read one more token of each beam, which goes on from the beam `parents` of its sentence.

        Both are [places, beam]; returns hidden states [places, beam, width].
        """

    @abstractmethod
    def reorder(self, order: list[int]) -> None:
        """Place `i` goes on with the sentence of place `order[i]`, which is `i` or behind all that stay."""


class LM(ABC):
    """A transformers model with its tokenizer. Unless a method moves them, its weights are frozen."""

    family: ClassVar[str]

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str):
        self.take_attention(model)
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.labels: list[str] = []  # classes of the task, where a method or the family needs them
        self.config = model.config.get_text_config(decoder=True)
        self.positions = positions_of(self.config)
        self.embedding_width: int = model.get_input_embeddings().weight.shape[1]
        self.width: int = self.config.hidden_size  # OPT-350m's and ELECTRA's input vectors are narrower
        self.space = space_before(tokenizer)
        self.shapes: Mapping[str, Shape] = self.find_shapes()
        self.computes_in = self.dtype

    def take_attention(self, model: PreTrainedModel) -> None:
        """Let its attentions be computed by ours."""
        model.set_attn_implementation(ATTENTION)

    @contextmanager
    def own_attention(self) -> Iterator[None]:
        """Within the block, the model computes attention as transformers' plain code does: to check ours by."""
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.take_attention(self.model)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Hold frozen weights in `dtype`, once and for all; weights that move stay fp32 and are cast when used."""
        self.computes_in = dtype
        if self.frozen:
            for parameter in self.model.parameters():
                parameter.data = parameter.data.to(dtype)

    def computing(self) -> AbstractContextManager:
        """Within it, the model computes as `compute_in` says."""
        return torch.autocast(self.device.type, dtype=self.computes_in, enabled=self.computes_in != self.dtype)

    @property
    def frozen(self) -> bool:
        """Whether none of the model's own weights moves."""
        return not any(p.requires_grad for p in self.model.parameters())

    @property
    def vocabulary(self) -> int:
        return self.model.get_output_embeddings().weight.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.model.get_input_embeddings().weight.dtype

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def end(self) -> int:
        """Id that ends every target."""
        return self.tokenizer.eos_token_id

    def fingerprint(self) -> str:
        """A short hash of the weights: some numbers of each tensor, so that it takes no time and a tuned model differs."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.model.named_parameters()):
            flat = weight.detach().flatten()
            sample = flat[:: max(1, len(flat) // 64)].float().cpu()
            digest.update(name.encode() + sample.numpy().tobytes())
        return digest.hexdigest()[:16]

    def words(self, text: str, length: int) -> list[int]:
        """Ids of some words, repeated up to `length` tokens. Raises UserError if there are none, or too many."""
        ids = self.token_ids(text)
        if not 0 < len(ids) <= length:
            raise UserError(
                f"params.yaml: methods.prefix.init_words: {text!r} has {len(ids)} tokens in the vocabulary of {self.name}, "
                f"but prefix_len is {length}"
            )
        if self.positions is not None and length > self.positions:
            raise UserError(f"params.yaml: prefix_len {length} exceeds the {self.positions} positions of {self.name}")
        return (ids * length)[:length]

    def set_labels(self, records: Iterable[Record]) -> None:
        """Take the labels from the records of a task."""
        self.labels = sorted({label for record in records for label in labels_of(record)})

    def tokens(self, texts: list[str], **options) -> list[list[int]]:
        """Ids of texts by the tokenizer and its options. Raises UserError for one that the model has no vector for."""
        rows = self.tokenizer(texts, **options)["input_ids"]
        known = len(self.model.get_input_embeddings().weight)
        for ids in rows:
            if ids and max(ids) >= known:
                token = self.tokenizer.convert_ids_to_tokens(max(ids))
                raise UserError(f"model {self.name} has {known} input vectors: none for {token!r}, which a text holds")
        return rows

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text inside another, without special tokens."""
        return self.tokens([self.space + text.strip()], add_special_tokens=False)[0]

    def embed(self, ids: list[int]) -> torch.Tensor:
        """Input vectors [length, width] of tokens."""
        return self.model.get_input_embeddings()(torch.tensor(ids, device=self.device)).detach()

    @abstractmethod
    def find_shapes(self) -> Mapping[str, Shape]:
        """Shapes of keys and values by the places that a prefix can have."""

    @abstractmethod
    def blocks(self) -> list[torch.nn.Module]:
        """The transformer blocks, the encoder's first."""

    @abstractmethod
    def examples(self, records: list[Record], most_source: int | None, most_target: int | None) -> Iterator[Example]:
        """One example per target of some records, cut at so many tokens (None: never)."""

    def num_virtual_tokens(self, adaptation: Adaptation) -> int:
        """Positions that an adaptation takes of those for texts."""
        return adaptation.length

    @abstractmethod
    def check_max_length(self, source: int, target: int, length: int) -> None:
        """Raises UserError if a source and a target of so many tokens do not fit beside `length` that are taken."""

    @abstractmethod
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """Keys and values that the model computes for a text, `[layers, 2, kv_heads, len, head_dim]` by place."""

    @abstractmethod
    def target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        """Hidden states [tokens, width] from which the tokens of all targets are predicted, row after row."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Vocabulary logits [..., vocabulary] of hidden states [..., width]: pay for the positions that count only."""


class GenerativeLM(LM):
    """A model that writes texts: what training and beam search ask of it."""

    @abstractmethod
    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Sources as the model reads them, cut at `most` tokens."""

    @abstractmethod
    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Targets as the model writes them, cut at `most` tokens, with the end token."""

    def examples(self, records: list[Record], most_source: int | None, most_target: int | None) -> Iterator[Example]:
        wanted = [record for record in records if record.targets]  # no tokenizer takes no texts
        if not wanted:
            return
        sources = self.source_ids([record.source for record in wanted], most_source)
        targets = iter(self.target_ids([target for record in wanted for target in record.targets], most_target))
        for record, source in zip(wanted, sources, strict=True):
            yield from (Example(source, target) for target in islice(targets, len(record.targets)))

    @abstractmethod
    def memory(self, adaptation: Adaptation, beam: int) -> DecodingState:
        """For a beam search, still without sentences."""

    @abstractmethod
    def own_logits(self, example: Example) -> torch.Tensor:
        """What the model itself computes for the target of an example, [tokens, vocabulary]; to check `logits` by."""


def labels_of(record: Record) -> set[str]:
    """The classes that its targets name: themselves, or their tags."""
    return {
        label for target in record.targets for label in (target.split(" ") if record.words is not None else [target])
    }  # fmt: skip


def padded(rows: list[list[int]], device: torch.device, most: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (True for tokens), both [rows, length]; padding is 0 and stands right of the tokens.

    The length is that of the longest, in eights up to `most`: kernels are made for a size, and are fast on such.
    """
    length = -(-max(map(len, rows)) // 8) * 8
    length = length if most is None else min(length, most)
    ids, mask = (torch.zeros(len(rows), length, dtype=kind) for kind in (torch.long, torch.bool))
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        mask[row, : len(tokens)] = True
    return to_device(device, ids), to_device(device, mask)


def targets_of(hidden: torch.Tensor, batch: Batch, starts: list[int]) -> torch.Tensor:
    """From hidden states [batch, length, width] those of as many tokens as each target has, [tokens, width].

    `starts` says where each row's first one is.
    """
    length = hidden.shape[1]
    places = [
        torch.arange(row * length + start, row * length + start + len(example.target))
        for row, (start, example) in enumerate(zip(starts, batch.examples, strict=True))
    ]  # found on the host: a mask would make it wait for the device
    return hidden.flatten(0, 1)[to_device(hidden.device, torch.cat(places))]


def positions_of(config: PreTrainedConfig) -> int | None:
    """The longest text that the model reads in one way, whatever stands beside it in a batch. None: no limit.

    Rotary frequencies that depend on the longest row of a batch (longrope, as Phi-3's) are those of the short range: rows
    beyond it would change what their neighbours give. Chunked attention (Llama 4's) is plain within the first chunk.
    """
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "attention_chunk_size")]
    rotary = getattr(config, "rope_parameters", None) or {}
    # One for all layers, or one for each type of layer.
    kinds = [rotary, *(kind for kind in rotary.values() if isinstance(kind, dict))]
    limits += [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min((limit for limit in limits if limit is not None), default=None)


def space_before(tokenizer: PreTrainedTokenizerBase) -> str:
    """What is put before a word inside a text: a space, or nothing where the tokenizer itself puts one before a text, and a
    second one would be a piece of its own (Llama 2's)."""
    word = tokenizer.tokenize("x")
    itself = tokenizer.tokenize("x x") == 2 * word
    return "" if itself and tokenizer.tokenize(" x") != word else " "


def outermost_lists(module: torch.nn.Module) -> list[torch.nn.Module]:
    """The elements of the outermost module lists: the transformer blocks of any transformers model."""
    found: list[torch.nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, torch.nn.ModuleList) else outermost_lists(child)
    return found
