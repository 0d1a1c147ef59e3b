"""The language model as methods, training and decoding see it: what all families share.

`decoder_only.py` and `encoder_decoder.py` hold the generative families, `encoder.py` the classifiers; `load.py` opens
any.
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
    """Size of one attention site's keys (and values): `[layers, kv_heads, length, head_dim]` for one text."""

    layers: int
    kv_heads: int
    head_dim: int


class DecodingState(ABC):
    """The model's state in a beam search. Each sentence has a slot, its index in the state, and `beam` beams."""

    @abstractmethod
    def prefill(
        self, sources: list[list[int]], runs: torch.Tensor, adaptation: Adaptation | None = None
    ) -> torch.Tensor:
        """Read sources (ids), source `i` with run `runs[i]` of the adaptation, into the next free slots.

        `adaptation`: another one in place of the state's, of prefixes or a prompt alone. It is needed for this call
        only: what it adds to attention is in the cache afterwards. The state's own must then be empty.
        Returns the hidden states [sources, width] that predict the first target token.
        """

    @abstractmethod
    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """Read one more token of each beam; beam `b` continues beam `parents[:, b]` of its sentence.

        `tokens` and `parents` are [slots, beam]. Returns hidden states [slots, beam, width].
        """

    @abstractmethod
    def reorder(self, order: list[int]) -> None:
        """Move the sentence of slot `order[i]` to slot `i` and drop the rest; `order[i]` is `i` or at least
        `len(order)`."""


class LM(ABC):
    """A transformers model and its tokenizer. The weights are frozen unless a method trains them."""

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
        """Route the model's attention through `attention.attend`."""
        model.set_attn_implementation(ATTENTION)

    @contextmanager
    def own_attention(self) -> Iterator[None]:
        """Within the block, attention is transformers' eager code: the reference that `check.py` compares with."""
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.take_attention(self.model)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`. Frozen weights are converted at once; trainable weights stay fp32 under autocast."""
        self.computes_in = dtype
        if self.frozen:
            for parameter in self.model.parameters():
                parameter.data = parameter.data.to(dtype)

    def computing(self) -> AbstractContextManager:
        """The autocast context for the dtype that `compute_in` set; does nothing if the weights have it already."""
        return torch.autocast(self.device.type, dtype=self.computes_in, enabled=self.computes_in != self.dtype)

    @property
    def frozen(self) -> bool:
        """Whether the model itself has no trainable parameters."""
        return not any(p.requires_grad for p in self.model.parameters())

    @property
    def vocabulary(self) -> int:
        """Number of logits per position: rows of the output matrix."""
        return self.model.get_output_embeddings().weight.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.model.get_input_embeddings().weight.dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.model.device

    @property
    def end(self) -> int:
        """Id of the end token, the last of every target."""
        return self.tokenizer.eos_token_id

    def fingerprint(self) -> str:
        """Hash of the weights, 16 hex digits. It samples each tensor, which is fast and still tells a tuned model
        apart."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.model.named_parameters()):
            flat = weight.detach().flatten()
            sample = flat[:: max(1, len(flat) // 64)].float().cpu()
            digest.update(name.encode() + sample.numpy().tobytes())
        return digest.hexdigest()[:16]

    def words(self, text: str, length: int) -> list[int]:
        """Ids of `text`, repeated to exactly `length` tokens: the words that initialize a prefix.

        Raises UserError if the text has no tokens or more than `length`, or if `length` exceeds the model's positions.
        """
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
        """Set `labels` to the sorted labels in the targets of a task's records."""
        self.labels = sorted({label for record in records for label in labels_of(record)})

    def tokens(self, texts: list[str], **options) -> list[list[int]]:
        """Tokenize texts, with the tokenizer's `options`. Raises UserError for an id without an input embedding."""
        rows = self.tokenizer(texts, **options)["input_ids"]
        known = len(self.model.get_input_embeddings().weight)
        for ids in rows:
            if ids and max(ids) >= known:
                token = self.tokenizer.convert_ids_to_tokens(max(ids))
                raise UserError(f"model {self.name} has {known} input vectors: none for {token!r}, which a text holds")
        return rows

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text as it stands inside another: with a space before it, without special tokens."""
        return self.tokens([self.space + text.strip()], add_special_tokens=False)[0]

    def embed(self, ids: list[int]) -> torch.Tensor:
        """Input embeddings [length, width] of token ids, detached."""
        return self.model.get_input_embeddings()(torch.tensor(ids, device=self.device)).detach()

    @abstractmethod
    def find_shapes(self) -> Mapping[str, Shape]:
        """The shape of keys and values at each attention site that can take a prefix."""

    @abstractmethod
    def blocks(self) -> list[torch.nn.Module]:
        """The transformer blocks in order, an encoder's before a decoder's."""

    @abstractmethod
    def examples(self, records: list[Record], most_source: int | None, most_target: int | None) -> Iterator[Example]:
        """One example per target of each record, cut at `most_source` and `most_target` tokens (None: no cut)."""

    def num_virtual_tokens(self, adaptation: Adaptation) -> int:
        """Positions, in tokens, that an adaptation takes from the text's."""
        return adaptation.length

    @abstractmethod
    def check_max_length(self, source: int, target: int, length: int) -> None:
        """Raises UserError if `source` and `target` tokens do not fit the model's positions beside `length` virtual
        tokens."""

    @abstractmethod
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """Keys and values of a text by attention site, `[layers, 2, kv_heads, len, head_dim]`, without gradient."""

    @abstractmethod
    def target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        """Hidden states [target tokens, width] that predict the target tokens of a batch, row after row."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [..., vocabulary] of hidden states [..., width]. Costly: pass only target positions."""


class GenerativeLM(LM):
    """A language model that writes text, with what training and beam search need of it."""

    @abstractmethod
    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of sources as the model reads them, cut at `most` tokens (None: no cut)."""

    @abstractmethod
    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Ids of targets with the end token, cut at `most` tokens (None: no cut)."""

    def examples(self, records: list[Record], most_source: int | None, most_target: int | None) -> Iterator[Example]:
        """See `LM.examples`."""
        wanted = [record for record in records if record.targets]  # no tokenizer takes no texts
        if not wanted:
            return
        sources = self.source_ids([record.source for record in wanted], most_source)
        targets = iter(self.target_ids([target for record in wanted for target in record.targets], most_target))
        for record, source in zip(wanted, sources, strict=True):
            yield from (Example(source, target) for target in islice(targets, len(record.targets)))

    @abstractmethod
    def memory(self, adaptation: Adaptation, beam: int) -> DecodingState:
        """A decoding state without sentences, for beam search with `beam` beams."""

    @abstractmethod
    def own_logits(self, example: Example) -> torch.Tensor:
        """Target logits [target tokens, vocabulary] by the model's own forward pass: the reference for `logits`."""


def labels_of(record: Record) -> set[str]:
    """The labels in a record's targets: each whole target, or each tag if the record has words to be tagged."""
    return {
        label for target in record.targets for label in (target.split(" ") if record.words is not None else [target])
    }  # fmt: skip


def padded(rows: list[list[int]], device: torch.device, most: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (True for tokens), both [rows, length], padded on the right with 0.

    The length is the longest row's, rounded up to a multiple of 8 (kernels are compiled per size) and at most `most`.
    """
    length = -(-max(map(len, rows)) // 8) * 8
    length = length if most is None else min(length, most)
    ids, mask = (torch.zeros(len(rows), length, dtype=kind) for kind in (torch.long, torch.bool))
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        mask[row, : len(tokens)] = True
    return to_device(device, ids), to_device(device, mask)


def targets_of(hidden: torch.Tensor, batch: Batch, starts: list[int]) -> torch.Tensor:
    """Select the hidden states that predict the targets: [batch, length, width] -> [target tokens, width].

    `starts[i]` is the first such position of row `i`.
    """
    length = hidden.shape[1]
    places = [
        torch.arange(row * length + start, row * length + start + len(example.target))
        for row, (start, example) in enumerate(zip(starts, batch.examples, strict=True))
    ]  # computed on the host: indexing by a mask would make the host wait for the device
    # [batch * length, width] -> [target tokens, width]
    return hidden.flatten(0, 1)[to_device(hidden.device, torch.cat(places))]


def positions_of(config: PreTrainedConfig) -> int | None:
    """The longest text, in tokens, that the model reads the same way in any batch. None: no limit.

    Rotary frequencies that depend on the longest row of a batch (longrope, Phi-3) are limited to the short range, or a
    long row would change its neighbours. Chunked attention (Llama 4) is ordinary attention within its first chunk.
    """
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "attention_chunk_size")]
    rotary = getattr(config, "rope_parameters", None) or {}
    # One for all layers, or one for each type of layer.
    kinds = [rotary, *(kind for kind in rotary.values() if isinstance(kind, dict))]
    limits += [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min((limit for limit in limits if limit is not None), default=None)


def space_before(tokenizer: PreTrainedTokenizerBase) -> str:
    """What to write before a word inside a text: " ", or "" if the tokenizer adds a space itself (Llama 2's does)."""
    word = tokenizer.tokenize("x")
    itself = tokenizer.tokenize("x x") == 2 * word
    return "" if itself and tokenizer.tokenize(" x") != word else " "


def outermost_lists(module: torch.nn.Module) -> list[torch.nn.Module]:
    """The elements of the outermost ModuleLists of a module: its transformer blocks."""
    found: list[torch.nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, torch.nn.ModuleList) else outermost_lists(child)
    return found
