"""A language model as methods, training and decoding see it; what its two families share.

The families are in `decoder_only.py` and `encoder_decoder.py`; `load.py` opens either.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.engine.batches import Batch, Example
from stages.engine.steering import Steering
from stages.errors import UserError


@dataclass(frozen=True)
class Shape:
    """Keys (and values) of one text: `[layers, kv_heads, length, head_dim]`."""

    layers: int
    kv_heads: int
    head_dim: int


class Continuation(ABC):
    """Texts under way: what the model remembers of each row of a batch that is being decoded."""

    @abstractmethod
    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Read one more token of each row, `ids` [rows]; returns hidden states [rows, width]."""

    @abstractmethod
    def select(self, rows: torch.Tensor) -> None:
        """Go on with these rows, in this order; a row may be taken many times or never.

        Where the number of rows stays, each new row must continue one that read the same source.
        """


class LM(ABC):
    """A transformers model with its tokenizer. Unless a method moves them, its weights are frozen."""

    family: ClassVar[str]

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str):
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.config = model.config.get_text_config(decoder=True)
        self.positions: int | None = getattr(self.config, "max_position_embeddings", None)  # None: no limit known
        self.width: int = model.get_input_embeddings().embedding_dim
        self.shapes: Mapping[str, Shape] = self.find_shapes()

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
        ids = self.tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"]
        if not 0 < len(ids) <= length:
            raise UserError(
                f"params.yaml: prefix.init_words: {text!r} has {len(ids)} tokens in the vocabulary of {self.name}, "
                f"but prefix_len is {length}"
            )
        if self.positions is not None and length > self.positions:
            raise UserError(f"params.yaml: prefix_len {length} exceeds the {self.positions} positions of {self.name}")
        return (ids * length)[:length]

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
    def source_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Sources as the model reads them, cut at `most` tokens."""

    @abstractmethod
    def target_ids(self, texts: list[str], most: int | None) -> list[list[int]]:
        """Targets as the model writes them, cut at `most` tokens, with the end token."""

    @abstractmethod
    def check_room(self, source: int, target: int, length: int) -> None:
        """Raises UserError if a source and a target of so many tokens do not fit beside `length` of prefix or infix."""

    @abstractmethod
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """Keys and values that the model computes for a text, `[layers, 2, kv_heads, len, head_dim]` by place."""

    @abstractmethod
    def target_hidden(self, batch: Batch, steering: Steering) -> torch.Tensor:
        """Hidden states [tokens, width] from which the tokens of all targets are predicted, row after row."""

    @abstractmethod
    def open(
        self, sources: list[list[int]], steering: Steering, runs: torch.Tensor
    ) -> tuple[Continuation, torch.Tensor]:
        """Read the sources, each with the steering of its run; returns hidden states [rows, width] for the first token."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Vocabulary logits [..., vocabulary] of hidden states [..., width]: pay for the positions that count only."""

    @abstractmethod
    def own_logits(self, example: Example) -> torch.Tensor:
        """What the model itself computes for the target of an example, [tokens, vocabulary]; to check `logits` by."""


def padded(rows: list[list[int]], device: torch.device, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (1 for tokens), both [rows, longest]; padding is 0 and stands right of the tokens, or `left`."""
    longest = max(map(len, rows))
    ids, mask = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for row, tokens in enumerate(rows):
        part = slice(longest - len(tokens), longest) if left else slice(0, len(tokens))
        ids[row, part] = torch.tensor(tokens, dtype=torch.long)
        mask[row, part] = 1
    return ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)


def outermost_lists(module: torch.nn.Module) -> list[torch.nn.Module]:
    """The elements of the outermost module lists: the transformer blocks of any transformers model."""
    found: list[torch.nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, torch.nn.ModuleList) else outermost_lists(child)
    return found
