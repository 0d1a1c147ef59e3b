"""Prompt Tuning (Lester et al. 2021): vectors before the source are all that is trained.

An encoder-decoder model's encoder reads them, and its decoder attends to what becomes of them; a decoder-only model
reads them before the text, once for all texts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from stages.core.errors import UserError
from stages.core.tensors import read_tensors
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.identity import check_belongs
from stages.models.model import Writer
from stages.models.steering import DECODER, Steering
from stages.params import Params
from stages.training.method import Method, generators

FAMILIES = ("decoder-only", "encoder-decoder")
TOGETHER = True
READS = ("prompt",)
POPULATION = 5000  # the pieces of lowest ids: in T5's vocabulary the most frequent
_BOUND = 0.5
EMBEDDINGS = "embeddings"

# Of one run: vectors [length, width] from its own random numbers.
Start = Callable[[torch.Generator], torch.Tensor]


class PromptTuning(Method):
    def __init__(self, lm: Writer, start: Start, seeds: list[int]):
        super().__init__(seeds)
        self.lm = lm
        self.vectors = nn.Parameter(torch.stack([start(generator) for generator in generators(seeds, 0)]).to(lm.device))

    def forward(self, step: int | None = None) -> Steering:
        return steering_of(self.lm, self.vectors)

    def stored(self) -> dict[str, torch.Tensor]:
        """Vectors [runs, len, width]."""
        return {EMBEDDINGS: self.vectors.detach()}


def steering_of(lm: Writer, vectors: torch.Tensor) -> Steering:
    return Steering(prompt=vectors) if isinstance(lm, EncoderDecoder) else Steering({DECODER: lm.cache_of(vectors)})


def uniform(lm: Writer, length: int) -> Start:
    return lambda generator: torch.empty(length, lm.embedding_width).uniform_(-_BOUND, _BOUND, generator=generator)


def vocabulary(lm: Writer, length: int) -> Start:
    """Embeddings of pieces drawn from those of lowest ids, without replacement as long as there are enough."""

    def start(generator: torch.Generator) -> torch.Tensor:
        most = min(POPULATION, lm.vocabulary)
        drawn = torch.randperm(most, generator=generator)
        if length > most:
            drawn = torch.randint(most, (length,), generator=generator)
        return lm.embed(drawn[:length].tolist()).cpu()

    return start


def labels(lm: Writer, length: int, texts: Sequence[str]) -> Start:
    """The mean over a class's pieces in a place of its own, of as many classes as fit; the other places from the vocabulary.

    The pieces are those that the model writes: byte-level ones begin without the space that they have within a text.
    """
    special = set(lm.tokenizer.all_special_ids)
    written = ([piece for piece in ids if piece not in special] for ids in lm.target_ids(list(texts[:length]), None))
    return _first([lm.embed(ids).cpu().mean(0) for ids in written], vocabulary(lm, length))


def words(lm: Writer, length: int, text: str) -> Start:
    """The words' pieces, the other places from the vocabulary."""
    ids = lm.pieces(text)
    if not 0 < len(ids) <= length:
        raise UserError(
            f"params.yaml: prompt.words {text!r} are {len(ids)} tokens for {lm.name}, prefix_len is {length}"
        )
    return _first(list(lm.embed(ids).cpu()), vocabulary(lm, length))


def _first(known: list[torch.Tensor], others: Start) -> Start:
    def start(generator: torch.Generator) -> torch.Tensor:
        vectors = others(generator)
        vectors[: len(known)] = torch.stack(known)
        return vectors

    return start


def file(lm: Writer, length: int, path: Path) -> Start:
    """A trained prompt, of this task or another. Raises UserError if it is none for this model and length."""
    found = prompt_in(path)
    check_belongs(path.parent, lm)
    if found.shape != (length, lm.embedding_width):
        raise UserError(
            f"params.yaml: prompt.file: {path} holds {list(found.shape)}, where prefix_len and {lm.name} need "
            f"{[length, lm.embedding_width]}"
        )
    return lambda _: found.clone()


def prompt_in(path: Path) -> torch.Tensor:
    """The prompt [len, width] of a saved run, the first if there are several. Raises UserError for a file that has none."""
    found = read_tensors(path).get(EMBEDDINGS)
    if found is None:
        raise UserError(f"{path} holds no prompt")
    return found[0]


def build(lm: Writer, chosen: Params, seeds: list[int]) -> PromptTuning:
    training, length = chosen.training, chosen.training.prefix_len
    if isinstance(lm, EncoderDecoder):
        lm.check_vectors()
    starts: dict[str, Callable[[], Start]] = {
        "uniform": lambda: uniform(lm, length),
        "vocabulary": lambda: vocabulary(lm, length),
        "labels": lambda: labels(lm, length, training.words.split() if training.words else lm.labels),
        "words": lambda: words(lm, length, training.words),
        "file": lambda: file(lm, length, *chosen.given),
    }
    return PromptTuning(lm, starts[training.init](), seeds)


@torch.no_grad()
def apply(lm: Writer, stored: dict[str, torch.Tensor]) -> Steering:
    return steering_of(lm, stored[EMBEDDINGS])
