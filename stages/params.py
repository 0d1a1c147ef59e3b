"""The typed view of params.yaml, and the only reader of it.

`load` checks the whole file before any work is done: an unknown key, a wrong type or an impossible
value ends in one line that names the key.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from stages.errors import UserError
from stages.files import read_text

FILE = Path("params.yaml")
BASE = Path("data/base")  # the embedded models
RECIPE = "recipe"

Task = Literal["e2e", "mini_e2e"]
Method = Literal["prefix", "none"]


def _number(value: Any) -> Any:
    """YAML reads `1e-4` (no point) as text; people mean the number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _or_word(kind: type, least: float, word: str, above: bool = False) -> Any:
    """A number of at least (or above) `least`, or the one word that may stand for it."""

    def check(value: Any) -> Any:
        value = value if value == word or kind is int else _number(value)
        if value == word:
            return value
        number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not number or value < least or (above and value == least):
            named = "a whole number" if kind is int else "a number"
            raise ValueError(f"must be {named} {'above' if above else 'of at least'} {least}, or {word}")
        return kind(value)

    return Annotated[Any, AfterValidator(check)]


Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
CountOrRecipe = _or_word(int, 1, RECIPE)
WholeOrRecipe = _or_word(int, 0, RECIPE)
PositiveOrRecipe = _or_word(float, 0, RECIPE, above=True)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Linearize(Section):
    tokenize_targets: bool


class Train(Section):
    lr: PositiveOrRecipe
    epochs: PositiveOrRecipe
    steps: CountOrRecipe
    batch_size: CountOrRecipe
    warmup_steps: WholeOrRecipe
    loss: Literal["sequence_sum", "token_mean"]
    clip_norm: Positive
    weight_decay: Annotated[float, BeforeValidator(_number), Field(ge=0)]
    eval_every: Count | None

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if RECIPE not in (self.epochs, self.steps):
            raise ValueError("give epochs or steps, not both")
        return self


class Prefix(Section):
    mlp: bool
    mlp_width: CountOrRecipe
    dropout: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)]
    init_words: Annotated[str, Field(min_length=1)] | None


class Decode(Section):
    beam: Count
    length_penalty: Annotated[float, BeforeValidator(_number)]
    max_new_tokens: Count
    batch_size: Count
    banned: list[str]


class Recipe(Section):
    prefix_len: Count | None = None
    lr: Positive | None = None
    epochs: Positive | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    warmup_steps: Whole | None = None
    mlp_width: Count | None = None


class Recipes(Section):
    embedded: dict[Method, Recipe]
    published: dict[Task, dict[Method, Recipe]]


class Files(Section):
    """Public files: from a directory `root`, or downloaded from `url`; checked against `sha256` either way."""

    root: str | None
    url: Annotated[str, Field(pattern="^https://")]
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


class Generated(Section):
    seed: Whole
    train: Count
    dev: Count
    test: Count
    references: Annotated[int, Field(ge=2)]


class Sources(Section):
    e2e: Files
    mini_e2e: Generated


class Pretrain(Section):
    seed: Whole
    documents: Count
    copies_first: Whole
    vocabulary: Annotated[int, Field(ge=300)]
    layers: Annotated[int, Field(ge=2)]
    width: Count
    heads: Count
    positions: Count
    length: Count
    batch_size: Count
    muon_lr: Positive
    adamw_lr: Positive
    threads: Count


@dataclass(frozen=True)
class Training:
    """How one run is trained, `recipe` resolved. `prefix_len` and `mlp_width` are None for a method without them."""

    prefix_len: int | None
    mlp_width: int | None
    lr: float
    epochs: float | None
    steps: int | None
    batch_size: int
    warmup_steps: int


class Params(Section):
    task: Task
    model: Annotated[str, Field(min_length=1)]
    revision: str
    method: Method
    prefix_len: CountOrRecipe
    train_size: _or_word(int, 1, "full")  # type: ignore[valid-type]
    subset: Whole
    seed: Whole
    threads: Count
    linearize: Linearize
    train: Train
    prefix: Prefix
    decode: Decode
    recipes: Recipes
    sources: Sources
    pretrain: Pretrain

    @property
    def embedded(self) -> bool:
        """Whether the model is one that the project brings: a bare name, for `BASE / "/a/path"` is `/a/path`."""
        return Path(self.model).name == self.model and (BASE / self.model / "config.json").exists()

    @property
    def training(self) -> Training | None:
        """The run's own values over the recipe's; None for a method that trains nothing.

        Raises UserError naming the key that neither gives.
        """
        if self.method == "none":
            return None
        recipes = self.recipes.embedded if self.embedded else self.recipes.published.get(self.task, {})
        recipe = recipes.get(self.method, Recipe())

        def choose(own: Any, key: str, name: str) -> Any:
            value = getattr(recipe, name) if own == RECIPE else own
            if value is None:
                where = "embedded" if self.embedded else f"published.{self.task}"
                raise UserError(
                    f"{FILE}: {key} is `recipe`, but recipes.{where}.{self.method} has no {name}: give a number"
                )
            return value

        own = self.train
        steps, epochs = (None if value == RECIPE else value for value in (own.steps, own.epochs))
        if steps is None and epochs is None:
            steps, epochs = recipe.steps, recipe.epochs
            if (steps is None) == (epochs is None):
                raise UserError(f"{FILE}: the recipe of {self.method} must have either epochs or steps")
        return Training(
            prefix_len=choose(self.prefix_len, "prefix_len", "prefix_len"),
            mlp_width=choose(self.prefix.mlp_width, "prefix.mlp_width", "mlp_width") if self.prefix.mlp else None,
            lr=choose(own.lr, "train.lr", "lr"),
            epochs=epochs,
            steps=steps,
            batch_size=choose(own.batch_size, "train.batch_size", "batch_size"),
            warmup_steps=choose(own.warmup_steps, "train.warmup_steps", "warmup_steps"),
        )

    @property
    def model_directory(self) -> str:
        """What transformers loads: a directory, or a Hugging Face id."""
        return str(BASE / self.model) if self.embedded else self.model


def _check_positions(params: Params) -> None:
    """Refuse a prefix that leaves no room for text, where the model's config is on this machine."""
    config = Path(params.model_directory) / "config.json"
    if params.training is None or not config.is_file():
        return
    known = json.loads(read_text(config))
    positions = known.get("n_positions") or known.get("max_position_embeddings")
    length = params.training.prefix_len
    if positions and length + params.decode.max_new_tokens >= positions:
        raise UserError(
            f"{FILE}: prefix_len {length} and decode.max_new_tokens {params.decode.max_new_tokens} leave no room "
            f"for a source in the {positions} positions of {params.model}"
        )


def _one_line(error: ValidationError) -> str:
    # A mistyped key is also a missing one: say what was typed.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{FILE}: unknown key {key}"
    if first["type"] == "missing":
        return f"{FILE}: key {key} is missing"
    message = first["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
    return f"{FILE}: {key}: {message}{shown}"


def load(path: Path = FILE) -> Params:
    """Read and check params.yaml. Raises UserError that names the first wrong key."""
    try:
        raw = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not YAML ({getattr(error, 'problem', None) or error})") from error
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(_one_line(error)) from error
    _check_positions(params)
    return params
