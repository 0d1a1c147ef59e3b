"""Prefix-tuning (Li & Liang 2021, section 4): a prefix of keys and values is trained, the model is frozen.

An encoder and a decoder-only model have one attention site, an encoder-decoder model has three: the self-attention of
the encoder, that of the decoder, and cross-attention. Each site has a prefix with a separate MLP. After training only
the prefixes are saved, not the MLPs (section 4.3).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import ValidationInfo, model_validator
from torch import nn

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import FILE, RECIPE, Count, Positive, PositiveOrRecipe, Section, Text, or_word
from stages.methods.parts import saved
from stages.methods.parts.given import RunOption, given_run
from stages.methods.parts.prefix_encoder import Fit, prefix_encoder
from stages.methods.parts.worked_examples import last_ids_of_runs
from stages.models.adaptation import DECODER, Adaptation
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.models.identity import check_belongs
from stages.models.model import LM, Shape
from stages.training.method import Method

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = True


class Options(Section):
    """The section `methods.prefix`, read by prefix, infix, embedding_only and apt.

    `init_std`: deviation of the initial parameters; `init`: what to start from; `init_words`: the words of `init: words`
    (section 7.4); `file`: the directory of the run of `init: file`; `fit_steps` and `fit_lr`: how an MLP is fitted to the
    start.
    """

    mlp: bool
    mlp_width: or_word(int, 1, RECIPE) | None  # type: ignore[valid-type]
    init_std: PositiveOrRecipe
    dropout: or_word(float, 0, RECIPE, below=1) = 0.0  # type: ignore[valid-type]
    init: Literal["random", "words", "examples", "zero", "file", "recipe"] = "random"
    init_words: Text | None
    file: RunOption = None
    fit_steps: Count
    fit_lr: Positive

    @property
    def hidden(self) -> int | None:
        """The hidden units of the MLP; None: no MLP, the keys and values are the parameters."""
        return self.mlp_width if self.mlp else None

    @property
    def fit(self) -> Fit:
        """How an MLP is fitted to what it starts from."""
        return Fit(self.fit_steps, self.fit_lr)

    @model_validator(mode="after")
    def _words(self, info: ValidationInfo) -> Self:
        if self.init == "words" and self.init_words is None:
            raise ValueError("init is words: give init_words")
        given = self.init_words not in (None, RECIPE) and "init_words" not in (info.context or {}).get(
            "from_recipe", ()
        )
        if given and self.init not in ("words", RECIPE):
            raise ValueError(f"init_words is given, but init is {self.init}: set init to words")
        return self

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.init == "file" and self.file is None:
            raise ValueError("init is file: give file")
        if self.init != "file" and self.file is not None:
            raise ValueError(f"file is given, but init is {self.init}: set init to file")
        if self.init == "file" and self.mlp:
            raise ValueError("init is file, but a saved run has no MLP to go on with: set mlp to false")
        return self


OPTIONS = {"prefix": Options}


class Prefix(Method):
    """Trainable prefixes, one for each attention site of the model."""

    def __init__(self, lm: LM, length: int, mlp_width: int | None, seeds: list[int], dropout=0.0, std=1.0):
        """`length`: virtual tokens; `mlp_width`, `dropout` and `std` as in `prefix_encoder`."""
        super().__init__(seeds)
        self.shapes = lm.shapes
        self.encoders = nn.ModuleDict({
            site: prefix_encoder(length, size_of(shape), lm.width, mlp_width, seeds, dropout, number, std)
            for number, (site, shape) in enumerate(lm.shapes.items())
        })  # fmt: skip
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        """The prefixes [runs, layers, 2, kv_heads, len, head_dim] by attention site."""
        return Adaptation({
            site: unflatten(self.encoders[site](step), shape) for site, shape in self.shapes.items()
        })  # fmt: skip

    def state(self) -> dict[str, torch.Tensor]:
        """The prefixes [runs, layers, 2, kv_heads, len, head_dim] by attention site."""
        return {site: prefix.detach() for site, prefix in self().prefixes.items()}

    def init_from(self, targets: dict[str, torch.Tensor], fit: Fit) -> None:
        """Start all runs from keys and values `targets` [layers, 2, kv_heads, len, head_dim] by attention site, or each
        run from its own [runs, ...].

        Direct parameters take them over; an MLP is fitted to them as `fit` says.
        """
        for site, target in targets.items():
            self.encoders[site].init_from(flatten(target), fit)

    def zero_values(self) -> None:
        """Start all runs from values of zero; the keys stay random."""
        for site, shape in self.shapes.items():
            values = torch.zeros(shape.layers, 2, shape.kv_heads * shape.head_dim, dtype=torch.bool)
            values[:, 1] = True
            self.encoders[site].zero_columns(values.flatten())


class PrefixFromExamples(Prefix):
    """A prefix that starts from the keys and values of worked examples of the run's own training data."""

    def __init__(self, lm: DecoderOnly, length: int, options: Options, seeds: list[int]):
        """`length`: virtual tokens. Until `init_from_data`, the prefix is random."""
        super().__init__(lm, length, options.hidden, seeds, options.dropout, options.init_std)
        self.lm, self.length, self.fit = lm, length, options.fit

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """See `Method.init_from_data`. Raises UserError if a run has fewer tokens of examples than virtual tokens."""
        rows = last_ids_of_runs(self.lm, samples, self.seeds, self.length)
        # One after the other, so that rounding does not depend on the other runs.
        read = [self.lm.activations(ids)[DECODER].float() for ids in rows]
        self.init_from({DECODER: torch.stack(read)}, self.fit)


def size_of(shape: Shape) -> int:
    """The numbers of one virtual token: layers * 2 * kv_heads * head_dim."""
    return shape.layers * 2 * shape.kv_heads * shape.head_dim


def unflatten(flat: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Rows of a prefix encoder, [runs, len, layers * 2 * kv_heads * head_dim], as keys and values.

    The result is a view, [runs, layers, 2, kv_heads, len, head_dim].
    """
    runs, length, _ = flat.shape
    # [runs, len, layers, 2, kv_heads, head_dim] -> [runs, layers, 2, kv_heads, len, head_dim]
    return flat.view(runs, length, shape.layers, 2, shape.kv_heads, shape.head_dim).permute(0, 2, 3, 4, 1, 5)


def flatten(prefix: torch.Tensor) -> torch.Tensor:
    """The inverse of `unflatten`: [..., layers, 2, kv_heads, len, head_dim] -> [..., len, size_of(shape)]."""
    return prefix.movedim(-2, -5).flatten(-4)  # [..., len, layers, 2, kv_heads, head_dim], then flat


def files(config: RunConfig) -> list[Path]:
    """The tensor file of the run that `methods.prefix.file` names; empty if it names none. Raises UserError as
    `given_run`."""
    directory = config.options["prefix"].file
    return [] if directory is None else [given_run("methods.prefix.file", directory) / "prefix.safetensors"]


def prefixes_in(directory: Path, lm: LM, length: int) -> dict[str, torch.Tensor]:
    """The trained keys and values of a saved run of `prefix`, [1, layers, 2, kv_heads, len, head_dim] by attention site.

    Raises UserError if the run is of another method, model or length, or as `saved.state_of`.
    """
    method = check_belongs(directory, lm)["method"]
    if method != "prefix":
        raise UserError(f"{FILE}: methods.prefix.file: {directory} is a run of {method}, not of prefix")
    found = saved.state_of(directory)
    for site, shape in lm.shapes.items():
        expected = [1, shape.layers, 2, shape.kv_heads, length, shape.head_dim]
        sizes = list(found[site].shape) if site in found else None
        if sizes != expected:
            raise UserError(
                f"{FILE}: methods.prefix.file: {directory} holds {sizes} for the {site}, where prefix_len and {lm.name} "
                f"need {expected}"
            )
    return {site: found[site] for site in lm.shapes}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Prefix:
    """Prefixes to train, one run per seed, by `methods.prefix`.

    They start from random numbers, with or without values of zero; from the activations of `init_words` (section 7.4),
    which are repeated up to `prefix_len`; from those of a saved run; or, in `init_from_data`, from those of worked examples.
    The paper uses as many virtual tokens as there are words. Raises UserError if the model does not read worked examples, or
    as `prefixes_in`.
    """
    options, length = config.options["prefix"], config.prefix_len
    if options.init == "examples":
        if not isinstance(lm, DecoderOnly):
            raise UserError(
                f"{FILE}: methods.prefix.init is examples, but {lm.name} is no decoder-only model: set random, words or "
                "zero"
            )
        return PrefixFromExamples(lm, length, options, seeds)
    prefix = Prefix(lm, length, options.hidden, seeds, options.dropout, options.init_std)
    if options.init == "words":
        prefix.init_from(lm.activations(lm.words(options.init_words, length)), options.fit)
    if options.init == "zero":
        prefix.zero_values()
    for file in files(config):
        prefix.init_from(prefixes_in(file.parent, lm, length), options.fit)
    return prefix


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of trained prefixes, [runs, layers, 2, kv_heads, len, head_dim] by attention site."""
    return Adaptation(state)
