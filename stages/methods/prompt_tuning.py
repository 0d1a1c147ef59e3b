"""Prompt Tuning (Lester et al. 2021): only a soft prompt, embeddings before the source, is trained.

In an encoder-decoder model the encoder reads the prompt, and the decoder attends to the resulting hidden states. A
decoder-only model reads the prompt once, and the keys and values that it computes serve all texts.
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
from stages.methods.parts import saved
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
    """The section `methods.prompt_tuning`.

    `init` names what the prompt starts from: random numbers (`uniform`), embeddings of tokens (`vocabulary`), of the
    task's classes (`labels`), of given `words`, or a trained prompt in the directory `file`. `bound` limits random
    numbers; `population` is the number of tokens to draw from.
    """

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

# Makes the initial prompt [len, width] of one run from the run's random number generator.
Start = Callable[[torch.Generator], torch.Tensor]


class PromptTuning(Method):
    """Trainable prompts [runs, len, width]."""

    def __init__(self, lm: GenerativeLM, start: Start, seeds: list[int]):
        """`start` makes the initial prompt of each run."""
        super().__init__(seeds)
        self.lm = lm
        self.vectors = nn.Parameter(torch.stack([start(generator) for generator in generators(seeds, 0)]).to(lm.device))

    def forward(self, step: int | None = None) -> Adaptation:
        """The adaptation of the prompts; there is no dropout."""
        return adaptation_of(self.lm, self.vectors)

    def state(self) -> dict[str, torch.Tensor]:
        """`embeddings` [runs, len, width]."""
        return {EMBEDDINGS: self.vectors.detach()}


def adaptation_of(lm: GenerativeLM, vectors: torch.Tensor) -> Adaptation:
    """The adaptation of prompts [runs, len, width]; on a decoder-only model, the prefix that it computes from them."""
    return Adaptation(prompt=vectors) if isinstance(lm, EncoderDecoder) else Adaptation({DECODER: lm.cache_of(vectors)})


def uniform(lm: GenerativeLM, length: int, bound: float) -> Start:
    """Start from uniform random numbers between `-bound` and `bound`."""
    return lambda generator: torch.empty(length, lm.embedding_width).uniform_(-bound, bound, generator=generator)


def vocabulary(lm: GenerativeLM, length: int, population: int) -> Start:
    """Start from embeddings of random tokens among the `population` lowest ids: in T5's vocabulary the most frequent.

    Tokens are drawn without replacement, or with replacement if `length` is above `population`.
    """

    def start(generator: torch.Generator) -> torch.Tensor:
        most = min(population, lm.vocabulary)
        drawn = torch.randperm(most, generator=generator)
        if length > most:
            drawn = torch.randint(most, (length,), generator=generator)
        return lm.embed(drawn[:length].tolist()).cpu()

    return start


def labels(lm: GenerativeLM, length: int, texts: Sequence[str], others: Start) -> Start:
    """Start from the classes: each position is the mean embedding of one class's tokens.

    Classes beyond `length` are left out; positions beyond the classes start from `others`. The tokens are those of a
    class as a target: with a byte-level tokenizer, they begin without the space that they have within a text.
    """
    special = set(lm.tokenizer.all_special_ids)
    written = ([piece for piece in ids if piece not in special] for ids in lm.target_ids(list(texts[:length]), None))
    return _first([lm.embed(ids).cpu().mean(0) for ids in written], others)


def words(lm: GenerativeLM, length: int, text: str, others: Start) -> Start:
    """Start from the embeddings of the tokens of `text`; positions beyond these start from `others`.

    Raises UserError if `text` has no token, or more than `length`.
    """
    ids = lm.token_ids(text)
    if not 0 < len(ids) <= length:
        raise UserError(
            f"params.yaml: methods.prompt_tuning.words {text!r} are {len(ids)} tokens for {lm.name}, prefix_len is {length}"
        )
    return _first(list(lm.embed(ids).cpu()), others)


def _first(known: list[torch.Tensor], others: Start) -> Start:
    """The first positions from `known` [width] each, the others from `others`."""

    def start(generator: torch.Generator) -> torch.Tensor:
        vectors = others(generator)
        vectors[: len(known)] = torch.stack(known)
        return vectors

    return start


def file(lm: GenerativeLM, length: int, path: Path) -> Start:
    """Start from a trained prompt, of this task or another.

    Raises UserError if the run has no prompt, or one for another model or length, or as `saved.state_of`.
    """
    found = prompt_in(path)
    check_belongs(path.parent, lm)
    if found.shape != (length, lm.embedding_width):
        raise UserError(
            f"params.yaml: methods.prompt_tuning.file: {path} holds {list(found.shape)}, where prefix_len and {lm.name} need "
            f"{[length, lm.embedding_width]}"
        )
    return lambda _: found.clone()


def prompt_in(path: Path) -> torch.Tensor:
    """The prompt [len, width] of the saved run whose tensor file is `path`.

    Raises UserError if the run has none, or as `saved.state_of`.
    """
    found = saved.state_of(path.parent).get(EMBEDDINGS)
    if found is None:
        raise UserError(f"{path} holds no prompt")
    return found[0]


def files(config: RunConfig) -> list[Path]:
    """The file of the trained prompt that `methods.prompt_tuning.file` names; empty if none is named."""
    directory = config.options["prompt_tuning"].file
    return [] if directory is None else [prompt_file("methods.prompt_tuning.file", directory)]


def prompt_file(key: str, directory: str) -> Path:
    """The tensor file of a run in `directory`, of either method with prompts. Raises UserError as `given_run`."""
    run = given_run(key, directory)
    projected = run / PROJECTED
    return projected if projected.exists() else run / "prompt_tuning.safetensors"


def needs_labels(config: RunConfig) -> bool:
    """Whether the prompt starts from the classes of the task."""
    options = config.options["prompt_tuning"]
    return options.init == "labels" and not options.words


def _classes(lm: GenerativeLM, config: RunConfig) -> list[str]:
    """The classes of the task. Raises UserError if it has none."""
    if not lm.labels:
        raise UserError(
            f"params.yaml: methods.prompt_tuning.init is labels, but {config.task} has no classes: give words, or another init"
        )
    return lm.labels


def build(lm: GenerativeLM, config: RunConfig, seeds: list[int]) -> PromptTuning:
    """Prompts to train, one run per seed, by `methods.prompt_tuning`.

    Raises UserError if what the prompt is to start from is missing or does not fit.
    """
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
    """The adaptation of trained prompts, `embeddings` [runs, len, width]."""
    return adaptation_of(lm, state[EMBEDDINGS])
