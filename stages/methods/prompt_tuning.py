"""Prompt Tuning (Lester et al. 2021): vectors before the source are all that is trained.

An encoder-decoder model's encoder reads them, and its decoder attends to what becomes of them; a decoder-only model
reads them before the text, once for all texts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import ValidationInfo, model_validator
from torch import nn

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import RECIPE, Count, Positive, Section, Text
from stages.core.tensors import read_tensors
from stages.methods.parts.given import given_run
from stages.models.adaptation import DECODER, Adaptation
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.identity import check_belongs
from stages.models.model import GenerativeLM
from stages.training.method import Method, generators

FAMILIES = ("decoder-only", "encoder-decoder")
BATCHED_RUNS = True
PROJECTED = "prompt_projection.safetensors"
EMBEDDINGS = "embeddings"
_READ_WORDS = ("labels", "words")


class Options(Section):
    """`methods.prompt_tuning`."""

    init: Literal["uniform", "vocabulary", "labels", "words", "file", "recipe"]
    words: Text | None = None
    file: Text | None
    bound: Positive
    population: Count

    @model_validator(mode="after")
    def _fit(self, info: ValidationInfo) -> Self:
        if self.init == "file" and self.file is None:
            raise ValueError("init is file: give file")
        if self.init != "file" and self.file is not None:
            raise ValueError(f"file is given, but init is {self.init}: set init to file")
        if self.init == "words" and self.words is None:
            raise ValueError("init is words: give words")
        given = self.words not in (None, RECIPE) and "words" not in (info.context or {}).get("from_recipe", ())
        if given and self.init not in (*_READ_WORDS, RECIPE):
            raise ValueError(f"words is given, but init is {self.init}: it reads none")
        return self


OPTIONS = {"prompt_tuning": Options}

# Of one run: vectors [length, width] from its own random numbers.
Start = Callable[[torch.Generator], torch.Tensor]


class PromptTuning(Method):
    def __init__(self, lm: GenerativeLM, start: Start, seeds: list[int]):
        super().__init__(seeds)
        self.lm = lm
        self.vectors = nn.Parameter(torch.stack([start(generator) for generator in generators(seeds, 0)]).to(lm.device))

    def forward(self, step: int | None = None) -> Adaptation:
        return adaptation_of(self.lm, self.vectors)

    def state(self) -> dict[str, torch.Tensor]:
        """Vectors [runs, len, width]."""
        return {EMBEDDINGS: self.vectors.detach()}


def adaptation_of(lm: GenerativeLM, vectors: torch.Tensor) -> Adaptation:
    return Adaptation(prompt=vectors) if isinstance(lm, EncoderDecoder) else Adaptation({DECODER: lm.cache_of(vectors)})


def uniform(lm: GenerativeLM, length: int, bound: float) -> Start:
    """Numbers between `-bound` and `bound`."""
    return lambda generator: torch.empty(length, lm.embedding_width).uniform_(-bound, bound, generator=generator)


def vocabulary(lm: GenerativeLM, length: int, population: int) -> Start:
    """Embeddings of pieces drawn from the `population` of lowest ids, in T5's vocabulary the most frequent.

    They are drawn without replacement as long as there are enough.
    """

    def start(generator: torch.Generator) -> torch.Tensor:
        most = min(population, lm.vocabulary)
        drawn = torch.randperm(most, generator=generator)
        if length > most:
            drawn = torch.randint(most, (length,), generator=generator)
        return lm.embed(drawn[:length].tolist()).cpu()

    return start


def labels(lm: GenerativeLM, length: int, texts: Sequence[str], others: Start) -> Start:
    """The mean over a class's pieces in a place of its own, of as many classes as fit; the other places from `others`.

    The pieces are those that the model writes: byte-level ones begin without the space that they have within a text.
    """
    special = set(lm.tokenizer.all_special_ids)
    written = ([piece for piece in ids if piece not in special] for ids in lm.target_ids(list(texts[:length]), None))
    return _first([lm.embed(ids).cpu().mean(0) for ids in written], others)


def words(lm: GenerativeLM, length: int, text: str, others: Start) -> Start:
    """The words' pieces, the other places from `others`."""
    ids = lm.token_ids(text)
    if not 0 < len(ids) <= length:
        raise UserError(
            f"params.yaml: methods.prompt_tuning.words {text!r} are {len(ids)} tokens for {lm.name}, prefix_len is {length}"
        )
    return _first(list(lm.embed(ids).cpu()), others)


def _first(known: list[torch.Tensor], others: Start) -> Start:
    def start(generator: torch.Generator) -> torch.Tensor:
        vectors = others(generator)
        vectors[: len(known)] = torch.stack(known)
        return vectors

    return start


def file(lm: GenerativeLM, length: int, path: Path) -> Start:
    """A trained prompt, of this task or another. Raises UserError if it is none for this model and length."""
    found = prompt_in(path)
    check_belongs(path.parent, lm)
    if found.shape != (length, lm.embedding_width):
        raise UserError(
            f"params.yaml: methods.prompt_tuning.file: {path} holds {list(found.shape)}, where prefix_len and {lm.name} need "
            f"{[length, lm.embedding_width]}"
        )
    return lambda _: found.clone()


def prompt_in(path: Path) -> torch.Tensor:
    """The prompt [len, width] of a saved run, the first if there are several. Raises UserError for a file that has none."""
    found = read_tensors(path).get(EMBEDDINGS)
    if found is None:
        raise UserError(f"{path} holds no prompt")
    return found[0]


def files(config: RunConfig) -> list[Path]:
    """The prompt of `file`, as either method of prompts keeps it."""
    directory = config.options["prompt_tuning"].file
    return [] if directory is None else [prompt_file("methods.prompt_tuning.file", directory)]


def prompt_file(key: str, directory: str) -> Path:
    """The tensors of a trained prompt, or of a projected one. Raises UserError as `given_run`."""
    run = given_run(key, directory)
    projected = run / PROJECTED
    return projected if projected.exists() else run / "prompt_tuning.safetensors"


def needs_labels(config: RunConfig) -> bool:
    options = config.options["prompt_tuning"]
    return options.init == "labels" and not options.words


def _classes(lm: GenerativeLM, config: RunConfig) -> list[str]:
    if not lm.labels:
        raise UserError(
            f"params.yaml: methods.prompt_tuning.init is labels, but {config.task} has no classes: give words, or another init"
        )
    return lm.labels


def build(lm: GenerativeLM, config: RunConfig, seeds: list[int]) -> PromptTuning:
    options, length = config.options["prompt_tuning"], config.prefix_len
    if isinstance(lm, EncoderDecoder):
        lm.check_vectors()
    frequent = vocabulary(lm, length, options.population)
    starts: dict[str, Callable[[], Start]] = {
        "uniform": lambda: uniform(lm, length, options.bound),
        "vocabulary": lambda: frequent,
        "labels": lambda: labels(
            lm, length, options.words.split() if options.words else _classes(lm, config), frequent
        ),
        "words": lambda: words(lm, length, options.words, frequent),
        "file": lambda: file(lm, length, *files(config)),
    }
    return PromptTuning(lm, starts[options.init](), seeds)


@torch.no_grad()
def load(lm: GenerativeLM, state: dict[str, torch.Tensor]) -> Adaptation:
    return adaptation_of(lm, state[EMBEDDINGS])
