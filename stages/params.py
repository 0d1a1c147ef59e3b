"""Reads and checks params.yaml.

`load` checks the whole file before any work begins. An unknown key, a wrong type or an impossible value gives a
one-line error that names the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from stages.core.errors import UserError
from stages.core.files import read_json, read_text
from stages.core.run_config import Decoding, Training
from stages.core.sections import (
    FILE,
    RECIPE,
    Count,
    CountOrRecipe,
    Cut,
    Decode,
    Head,
    Optimizers,
    Positive,
    Section,
    Seed,
    Text,
    Train,
    Whole,
    message_of,
    or_word,
)
from stages.methods import MethodName, module_of
from stages.methods import names as method_names
from stages.models.named import PACKAGES, is_embedded, is_gguf, path_of
from stages.pretrain.section import Adapt, Denoise, Pretrain, Probes, Span
from stages.recipes import Recipes
from stages.serving.options import Serve
from stages.studies.section import Cells, Name, Personal, Study
from stages.tasks import Linearize, TaskName, check_sources, recipe_names, source_of
from stages.tasks import names as task_names

# libyaml's parser where PyYAML was built with it, as its wheels are: every stage reads the file.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Choice:
    """Chooses a value: the run's, or the recipe's if the run's is `recipe`.

    `where` names the recipe's place in params.yaml, for messages; `recipe` are its keys, None if there is no recipe.
    """

    where: str
    recipe: Mapping[str, Any] | None

    def __call__(self, key: str, own: Any, missing: bool = False) -> Any:
        """The value of `key`, whose value in the run is `own`.

        None if neither gives it and it may be `missing`; otherwise that raises UserError.
        """
        value = (self.recipe or {}).get(key.rpartition(".")[2]) if own == RECIPE else own
        if value is None and not missing:
            raise UserError(f"{FILE}: {key} is `recipe`, but {self.where} gives none: set it")
        return value


class Params(Section):
    """params.yaml, typed. Each field is a top-level key; the file's comments describe them."""

    task: TaskName
    model: Text
    revision: str
    method: MethodName
    prefix_len: CountOrRecipe
    source_words: Text | None
    train_size: or_word(int, 1, "full")  # type: ignore[valid-type]
    dev_share: Annotated[Positive, Field(le=1)]
    subset: Whole
    seed: Seed
    threads: Count
    precision: Literal["auto", "fp32", "bf16"]
    linearize: Linearize
    train: Train
    optimizers: Optimizers
    head: Head
    methods: dict[str, dict[str, Any]]
    cut: Cut
    decode: Decode
    recipes: Recipes
    sources: Annotated[dict[str, Any], AfterValidator(check_sources)]
    pretrain: Pretrain
    denoise: Denoise
    span: Span
    adapt: Adapt
    probes: Probes
    serve: Serve
    personal: Personal
    cells: Cells
    studies: Annotated[dict[Name, Study], Field(min_length=1)]

    @property
    def recipe_names(self) -> tuple[str, ...]:
        """The names under which `recipes` may have an entry for the task, most specific first."""
        return recipe_names(self.task)

    def source_of(self, task: str) -> Section:
        """The section of `sources` that says where a task's data come from."""
        return source_of(task, self.sources)

    @property
    def recipe(self) -> tuple[str, dict[str, Any] | None]:
        """Where params.yaml has the recipe of this model, task and method, and the recipe's keys; None: no recipe.

        Published recipes are those of the papers' models; they are used for any other model too.
        """
        return self.recipes.training(self.model, is_embedded(self.model), self.recipe_names, self.method)

    @property
    def training(self) -> Training | None:
        """How the run is trained: its values where given, else the recipe's. None for an untrained method.

        Raises UserError that names a key which neither the run nor the recipe gives.
        """
        if getattr(module_of(self.method), "UNTRAINED", False):
            return None
        own, (where, recipe) = self.train, self.recipe
        choose = Choice(where, recipe)
        given = {key: value for key in ("epochs", "steps") if (value := getattr(own, key)) != RECIPE}
        if not given:
            given = {key: choose(f"train.{key}", RECIPE, missing=recipe is not None) for key in ("epochs", "steps")}
        optimizer = choose("train.optimizer", own.optimizer)
        settings = getattr(self.optimizers, optimizer)
        eval_every = choose("train.eval_every", own.eval_every, missing=True)
        return Training(
            lr=choose("train.lr", own.lr),
            epochs=given.get("epochs"),
            steps=given.get("steps"),
            batch_size=choose("train.batch_size", own.batch_size),
            warmup_steps=choose("train.warmup_steps", own.warmup_steps),
            loss=choose("train.loss", own.loss),
            lm_dropout=choose("train.lm_dropout", own.lm_dropout),
            optimizer=optimizer,
            schedule=settings.schedule,
            weight_decay=settings.weight_decay,
            clip_norm=None if settings.clip_norm == "none" else settings.clip_norm,
            decay_rate=getattr(settings, "decay_rate", None),
            length_pool=own.length_pool,
            eval_every=None if eval_every == "none" else eval_every,
            activation_checkpointing=own.activation_checkpointing,
        )

    @property
    def prefix_length(self) -> int | None:
        """Virtual tokens; None if no recipe of the method has a prefix_len. Raises UserError as `training`."""
        if not self.recipes.has_option(self.method, "prefix_len"):
            return None
        return Choice(*self.recipe)("prefix_len", self.prefix_len)

    @property
    def decoding(self) -> Decoding:
        """How texts are cut and decoded: the run's values where given, else those of the task's recipe.

        Raises UserError that names a key which neither gives, or a minimum length above the maximum.
        """
        choose = Choice(*self.recipes.decoding(self.recipe_names))
        cut = {
            key: choose(f"cut.{key}", getattr(self.cut, key), missing=choose.recipe is not None)
            for key in ("source_tokens", "target_tokens")
        }
        decoding = Decoding(
            **{key: None if value == "none" else value for key, value in cut.items()},
            beam=choose("decode.beam", self.decode.beam),
            length_penalty=choose("decode.length_penalty", self.decode.length_penalty),
            min_new_tokens=choose("decode.min_new_tokens", self.decode.min_new_tokens),
            max_new_tokens=choose("decode.max_new_tokens", self.decode.max_new_tokens),
            batch_size=self.decode.batch_size,
            early_stopping=self.decode.early_stopping,
            banned=tuple(self.decode.banned),
        )
        if decoding.min_new_tokens > decoding.max_new_tokens:
            raise UserError(
                f"{FILE}: decode.min_new_tokens {decoding.min_new_tokens} is above "
                f"decode.max_new_tokens {decoding.max_new_tokens}"
            )
        return decoding


def _check_names(params: Params) -> None:
    """Raises UserError for options or recipes of an unknown method, or recipes of an unknown task."""
    known = {name for task in task_names() for name in recipe_names(task)}
    options = (f"methods.{name}" for name in params.methods if name not in method_names())
    if wrong := next(options, None) or params.recipes.unknown(method_names(), known):
        raise UserError(f"{FILE}: unknown key {wrong}")


def _check_positions(params: Params) -> None:
    """Raises UserError if prefix and output fill the model's positions; checked if its config is on this machine."""
    if params.model in PACKAGES or is_gguf(
        params.model
    ):  # the model may be missing, or would have to be de-quantised first
        return
    decoding, config = params.decoding, Path(path_of(params.model)) / "config.json"
    known = read_json(config) if config.is_file() else {}
    positions = known.get("n_positions") or known.get("max_position_embeddings")
    # A prefix takes no positions in an encoder (recognized by its token types) or in an encoder-decoder.
    other = known.get("is_encoder_decoder") or "type_vocab_size" in known
    if not positions or other or params.method == "none":
        return
    length, most = params.prefix_length or 0, decoding.max_new_tokens
    if length + most >= positions:
        raise UserError(
            f"{FILE}: prefix_len {length} and decode.max_new_tokens {most} leave no room "
            f"for a source in the {positions} positions of {params.model}"
        )


def read(path: Path = FILE) -> dict[str, Any]:
    """The unchecked content of params.yaml. Raises UserError if the file cannot be read or is not YAML."""
    try:
        return yaml.load(read_text(path), _LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not YAML ({getattr(error, 'problem', None) or error})") from error


def check(raw: dict[str, Any]) -> Params:
    """Check and type what `read` gives. Raises UserError that names the first wrong key."""
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(message_of(error)) from error
    _check_names(params)
    _check_positions(params)
    return params


def load(path: Path = FILE) -> Params:
    """Read and check params.yaml. Raises UserError that names the first wrong key."""
    return check(read(path))
