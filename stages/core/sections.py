"""The sections of params.yaml with their types. `params.py` reads them and resolves recipes."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from stages.core.errors import UserError

FILE = Path("params.yaml")
RECIPE = "recipe"


def to_number(value: Any) -> Any:
    """Text as a number if it is one: YAML reads `1e-4`, without a point, as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def or_word(kind: type, least: float, *words: str, above: bool = False, below: float = math.inf) -> Any:
    """A field's type: a number of at least `least` (with `above`: above it) and below `below`, or one of `words`."""

    def check(value: Any) -> Any:
        if value in words:
            return value
        value = value if kind is int else to_number(value)
        number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < least or (above and value == least) or value >= below:
            named = "a whole number" if kind is int else "a number"
            most = f" and below {below}" if math.isfinite(below) else ""
            least_said = f"{'above' if above else 'of at least'} {least}"
            raise ValueError(f"must be {named} {least_said}{most}, or {' or '.join(words)}")
        return kind(value)

    return Annotated[Any, AfterValidator(check)]


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


Text = Annotated[str, AfterValidator(_said)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # torch multiplies it: from 9e12 on it would be beyond its 64 bits
Positive = Annotated[float, BeforeValidator(to_number), Field(gt=0, allow_inf_nan=False)]
CountOrRecipe = or_word(int, 1, RECIPE)
Share = Annotated[float, BeforeValidator(to_number), Field(ge=0, le=1)]
Loss = Literal["sequence_sum", "token_mean"]
WholeOrRecipe = or_word(int, 0, RECIPE)
PositiveOrRecipe = or_word(float, 0, RECIPE, above=True)


class Section(BaseModel):
    """Base class of all sections: immutable, strict in types, without unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Train(Section):
    """The section `train`."""

    lr: PositiveOrRecipe
    epochs: PositiveOrRecipe
    steps: WholeOrRecipe
    batch_size: CountOrRecipe
    warmup_steps: WholeOrRecipe
    loss: Literal["sequence_sum", "token_mean", "recipe"]
    lm_dropout: Literal[True, False, "recipe"]
    optimizer: Literal["adamw", "adafactor", "recipe"]
    eval_every: or_word(int, 1, "none", RECIPE)  # type: ignore[valid-type]
    length_pool: Count
    activation_checkpointing: bool

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if RECIPE not in (self.epochs, self.steps):
            raise ValueError("give epochs or steps, not both")
        return self


class Optimizer(Section):
    """The settings of one optimizer in `optimizers`."""

    schedule: Literal["linear", "constant"]
    weight_decay: Annotated[float, BeforeValidator(to_number), Field(ge=0)]
    clip_norm: or_word(float, 0, "none", above=True)  # type: ignore[valid-type]


class Adafactor(Optimizer):
    """The section `optimizers.adafactor`. `decay_rate`: beta2 is 1 - step^decay_rate."""

    decay_rate: Annotated[float, BeforeValidator(to_number), Field(lt=0, allow_inf_nan=False)]


class Optimizers(Section):
    """The section `optimizers`: settings by optimizer."""

    adamw: Optimizer
    adafactor: Adafactor


class Head(Section):
    """The section `head`, for encoders. `init_std`: deviation of the initial weights of the head."""

    init_std: Positive


class Cut(Section):
    """The section `cut`: maximum lengths of source and target, in tokens."""

    source_tokens: or_word(int, 2, "none", RECIPE)  # type: ignore[valid-type]
    target_tokens: or_word(int, 2, "none", RECIPE)  # type: ignore[valid-type]


class Decode(Section):
    """The section `decode`: settings of beam search."""

    beam: CountOrRecipe
    length_penalty: or_word(float, -10, RECIPE)  # type: ignore[valid-type]
    min_new_tokens: WholeOrRecipe
    max_new_tokens: CountOrRecipe
    batch_size: Count
    early_stopping: bool
    banned: list[str]


def validated(kind: type[Section], value: Any, key: str, context: dict | None = None) -> Any:
    """Check `value`, the section `key` of params.yaml, and type it. Raises UserError that names the first wrong key."""
    try:
        return kind.model_validate(value, context=context)
    except ValidationError as error:
        raise UserError(message_of(error, key)) from error


def message_of(error: ValidationError, section: str = "") -> str:
    """One line that names the first wrong key of params.yaml. `section`: the checked section, if not the whole file."""
    # A mistyped key causes two errors, unknown and missing: report the unknown key.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(filter(None, [section, *map(str, first["loc"])]))
    if first["type"] == "extra_forbidden":
        return f"{FILE}: unknown key {key}"
    if first["type"] == "missing":
        return f"{FILE}: key {key} is missing"
    message = first["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
    return f"{FILE}: {key}: {message}{shown}"
