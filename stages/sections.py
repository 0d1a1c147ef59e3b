"""The sections of params.yaml with their types; `params.py` reads them and resolves recipes."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

RECIPE = "recipe"

Task = Literal["e2e", "webnlg", "dart", "xsum", "mini_e2e", "mini_webnlg", "mini_xsum"]
Method = Literal["prefix", "finetune", "ft_top2", "adapter", "adapter_small", "embedding_only", "infix", "none"]


def to_number(value: Any) -> Any:
    """YAML reads `1e-4` (no point) as text; people mean the number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def or_word(kind: type, least: float, *words: str, above: bool = False) -> Any:
    """A number of at least (or above) `least`, or a word that may stand for it."""

    def check(value: Any) -> Any:
        if value in words:
            return value
        value = value if kind is int else to_number(value)
        number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < least or (above and value == least):
            named = "a whole number" if kind is int else "a number"
            raise ValueError(f"must be {named} {'above' if above else 'of at least'} {least}, or {' or '.join(words)}")
        return kind(value)

    return Annotated[Any, AfterValidator(check)]


Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, BeforeValidator(to_number), Field(gt=0, allow_inf_nan=False)]
CountOrRecipe = or_word(int, 1, RECIPE)
CountOrNone = or_word(int, 2, "none")
Share = Annotated[float, BeforeValidator(to_number), Field(ge=0, le=1)]
Loss = Literal["sequence_sum", "token_mean"]
WholeOrRecipe = or_word(int, 0, RECIPE)
PositiveOrRecipe = or_word(float, 0, RECIPE, above=True)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Linearize(Section):
    tokenize_targets: bool
    authors_first_entry: bool


class Train(Section):
    lr: PositiveOrRecipe
    epochs: PositiveOrRecipe
    steps: CountOrRecipe
    batch_size: CountOrRecipe
    warmup_steps: WholeOrRecipe
    loss: Literal["sequence_sum", "token_mean", "recipe"]
    lm_dropout: Literal[True, False, "recipe"]
    clip_norm: Positive
    weight_decay: Annotated[float, BeforeValidator(to_number), Field(ge=0)]
    eval_every: Count | None
    activation_checkpointing: bool

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if RECIPE not in (self.epochs, self.steps):
            raise ValueError("give epochs or steps, not both")
        return self


class Prefix(Section):
    mlp: bool
    mlp_width: CountOrRecipe
    dropout: Annotated[float, BeforeValidator(to_number), Field(ge=0, lt=1)]
    init_words: Annotated[str, Field(min_length=1)] | None


class Adapter(Section):
    bottleneck: CountOrRecipe
    layout: Literal["lin", "houlsby"]


class FtTop2(Section):
    embedding: bool


class Cut(Section):
    source_tokens: or_word(int, 2, "none", RECIPE)  # type: ignore[valid-type]
    target_tokens: or_word(int, 2, "none", RECIPE)  # type: ignore[valid-type]


class Decode(Section):
    beam: CountOrRecipe
    length_penalty: or_word(float, -10, RECIPE)  # type: ignore[valid-type]
    min_new_tokens: WholeOrRecipe
    max_new_tokens: CountOrRecipe
    batch_size: Count
    early_stopping: Literal[True, False, "never"]
    banned: list[str]


class Recipe(Section):
    """How a method is trained on a task; a key is missing where the method has no such thing."""

    prefix_len: Count | None = None
    mlp_width: Count | None = None
    bottleneck: Count | None = None
    lr: Positive
    epochs: Positive | None = None
    steps: Count | None = None
    batch_size: Count
    warmup_steps: Whole
    loss: Loss
    lm_dropout: bool

    @model_validator(mode="after")
    def _one_length(self) -> "Recipe":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("must have either epochs or steps")
        return self


class TaskRecipe(Section):
    """How a task's texts are cut and decoded."""

    source_tokens: CountOrNone
    target_tokens: CountOrNone
    beam: Count
    length_penalty: float
    min_new_tokens: Whole
    max_new_tokens: Count


class Recipes(Section):
    tasks: dict[Task, TaskRecipe]
    embedded: dict[str, dict[Method, Recipe]]
    published: dict[Task, dict[Method, Recipe]]


HTTPS = Annotated[str, Field(pattern="^https://")]


class File(Section):
    """One public file: where it is, and the checksums of the versions of it that are right.

    `sha256:<hex>`, or `git:<hex>`, the object name that git (and GitHub) gives its content.
    """

    url: HTTPS
    checksums: Annotated[
        list[Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")]], Field(min_length=1)
    ]


class Files(Section):
    """Public files by name: from a directory `root` that holds those names, or downloaded; checked either way."""

    root: str | None
    files: dict[str, File]


class DartFiles(Files):
    """Which of the files is which split (the train set may be read from the dev file, say)."""

    train: str
    dev: str
    test: str

    @model_validator(mode="after")
    def _known(self) -> "DartFiles":
        for split in ("train", "dev", "test"):
            if getattr(self, split) not in self.files:
                raise ValueError(f"{split} must be one of {', '.join(self.files)}, not {getattr(self, split)}")
        return self


class Tree(Section):
    """A folder of public files: the directory `root`, or `folder` of the archive at `url`; `sha256` is of the whole."""

    root: str | None
    url: HTTPS
    folder: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Hub(Section):
    """A dataset of the Hugging Face hub at a revision, or a local jsonl file or directory `root`.

    `split_seed`: all rows are shuffled with it and divided into train, dev and test; null: the splits as published.
    """

    root: str | None
    dataset: str
    revision: str
    split_seed: Whole | None


class Generated(Section):
    seed: Whole
    train: Count
    dev: Count
    test: Count


class Described(Generated):
    references: Count


class Sources(Section):
    e2e: Files
    webnlg: Tree
    dart: DartFiles
    xsum: Hub
    mini_e2e: Described
    mini_webnlg: Described
    mini_xsum: Generated


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


class Denoise(Section):
    seed: Whole
    documents: Count
    layers: Annotated[int, Field(ge=2)]
    width: Count
    heads: Count
    positions: Annotated[int, Field(ge=32)]
    step_tokens: Count
    masked: Annotated[float, Field(gt=0, lt=0.5)]
    masked_lines: Annotated[float, Field(ge=0, le=1)]
    muon_lr: Positive
    adamw_lr: Positive
    threads: Count

    @model_validator(mode="after")
    def _rows_fit(self) -> "Denoise":
        if self.step_tokens < self.positions:
            raise ValueError(f"step_tokens {self.step_tokens} must hold a row of {self.positions} positions")
        return self


class Bounds(Section):
    """What a released model must reach: measures of a probe that may not be below `least`, or above `most`."""

    least: dict[str, dict[str, Share]]
    most: dict[str, dict[str, Annotated[float, BeforeValidator(to_number), Field(ge=0, allow_inf_nan=False)]]]


class Probes(Section):
    seed: Whole
    prompts: Count
    batch_size: Count
    threads: Count
    bounds: dict[Literal["mini-gpt2", "mini-bart"], Bounds]
