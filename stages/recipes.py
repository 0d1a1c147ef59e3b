"""The section `recipes` of params.yaml: how a method is trained and how a task's texts are decoded, unless a run says.

A recipe is a set of keys, put together from layers. A later layer overrides an earlier one key by key:

1. `recipes.default`, for every training recipe;
2. `default` of the table that the recipe stands in, or all keys of the recipe that it is `like`;
3. its own keys.

`like: NAME` names a recipe beside it; at the head of `recipes.published.<method>` it names a method, all of whose
recipes are taken. A key given as `none` is taken away: the recipe has no such key. An override that gives `epochs` or
`steps` takes the other away. `default` is a layer, never a recipe.
"""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from stages.core.sections import Count, Loss, Positive, Section, Text, Whole, to_number

DEFAULT = "default"
Keys = dict[str, Any]
Resolved = dict[str, tuple[str, Keys]]  # by name: where in the section the recipe stands (dotted), and its keys


def _refuse(path: str, message: str) -> NoReturn:
    """Raise an error that names a key; `path` is dotted and starts below what is being validated."""
    error = PydanticCustomError("recipe", "{message}", {"message": message})
    raise ValidationError.from_exception_data("recipes", [{"type": error, "loc": (path,), "input": {}}])


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise ValueError("must be a number, a text, true, false or none")
    return value


class Layer(Section):
    """Some keys of a recipe."""

    like: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _none(cls, raw: Any) -> Any:
        """`none` takes a key away: None in what is read. An empty value may be an oversight."""
        if not isinstance(raw, dict):
            return raw
        if empty := [key for key, value in raw.items() if value is None]:
            _refuse(empty[0], "has no value; none takes the key away")
        return {key: None if value == "none" else value for key, value in raw.items()}

    @property
    def keys(self) -> Keys:
        """The keys that params.yaml gives here; None for those that are taken away."""
        return self.model_dump(exclude={"like"}, exclude_unset=True)


class TrainingLayer(Layer):
    """Keys of training, then options that several methods share or that are lists. A method may have other options."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_scalar)]]

    optimizer: Literal["adamw", "adafactor"] | None = None
    lr: Positive | None = None
    epochs: Positive | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    warmup_steps: Whole | None = None
    loss: Loss | None = None
    lm_dropout: bool | None = None
    eval_every: Count | None = None

    prefix_len: Count | None = None
    mlp_width: Count | None = None
    init_std: Positive | None = None
    dropout: Annotated[float, BeforeValidator(to_number), Field(ge=0, lt=1)] | None = None
    init: Literal["vocabulary", "labels", "random", "words", "examples", "zero"] | None = None
    words: Text | None = None
    bottleneck: Count | None = None
    target_modules: Annotated[list[Text], Field(min_length=1)] | Text | None = None

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingLayer":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs or steps, not both")
        return self


class DecodingLayer(Layer):
    """How texts are cut and decoded. A recipe without source_tokens or target_tokens cuts none."""

    source_tokens: Annotated[int, Field(ge=2)] | None = None
    target_tokens: Annotated[int, Field(ge=2)] | None = None
    beam: Count | None = None
    length_penalty: Annotated[float, BeforeValidator(to_number), Field(ge=-10, allow_inf_nan=False)] | None = None
    min_new_tokens: Whole | None = None
    max_new_tokens: Count | None = None


TRAINING_NEEDS = ("optimizer", "lr", "batch_size", "warmup_steps", "loss", "lm_dropout")
TRAINING_KEYS = (*TRAINING_NEEDS, "epochs", "steps", "eval_every")  # all others are options of the method
DECODING_NEEDS = ("beam", "length_penalty", "min_new_tokens", "max_new_tokens")


class PublishedMethod(Section):
    """One method's recipes by task or group, over those of the method that it is like."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TrainingLayer]

    like: Text | None = None

    @property
    def recipes(self) -> dict[str, TrainingLayer]:
        return self.__pydantic_extra__


def _merged(*layers: Keys) -> Keys:
    """Later layers over earlier ones, without the keys that are taken away."""
    merged: Keys = {}
    for layer in layers:
        for key, other in (("epochs", "steps"), ("steps", "epochs")):
            if layer.get(key) is not None:
                merged.pop(other, None)
        merged |= layer
    return {key: value for key, value in merged.items() if value is not None}


def _resolve(table: Mapping[str, Layer], path: str, base: Keys, taken: Resolved | None = None) -> Resolved:
    """All recipes of a table.

    `path` is where the table stands, `base` the layer below its default; `taken` holds the recipes of the method that
    this one is like.
    """
    taken = taken or {}
    default = table.get(DEFAULT, Layer())
    if default.like is not None:
        _refuse(f"{path}.{DEFAULT}.like", "only a recipe is like another")

    def keys(name: str, seen: tuple[str, ...]) -> Keys:
        own = table.get(name, Layer())
        if own.like is None:
            below = taken[name][1] if name in taken else base
            return _merged(below, default.keys, own.keys)
        _check_like(f"{path}.{name}.like", own.like, (*seen, name), names)
        return _merged(keys(own.like, (*seen, name)), own.keys)

    names = [name for name in {**taken, **table} if name != DEFAULT]
    return {name: (f"{path}.{name}" if name in table else taken[name][0], keys(name, ())) for name in names}


def _check_like(path: str, like: str, seen: tuple[str, ...], names: Collection[str]) -> None:
    if like in seen:
        _refuse(path, f"goes round in a circle: {', '.join((*seen[seen.index(like) :], like))}")
    if like not in names:
        _refuse(path, f"there is no {like} beside it; there are {', '.join(names)}")


def _need(path: str, keys: Keys, needed: tuple[str, ...]) -> None:
    if missing := [key for key in needed if key not in keys]:
        _refuse(path, f"{missing[0]} is missing")


def _first(recipes: Resolved, names: tuple[str, ...], path: str) -> tuple[str, Keys | None]:
    """The first of the names that has a recipe in the table at `path`."""
    for name in names:
        if name in recipes:
            where, keys = recipes[name]
            return f"recipes.{where}", dict(keys)
    return f"recipes.{path}.{names[0]}", None


class Recipes(Section):
    """The section; all recipes are put together and checked when it is read."""

    default: TrainingLayer
    tasks: dict[str, DecodingLayer]  # by task or group
    embedded: dict[str, dict[str, TrainingLayer]]  # by model, then method
    published: dict[str, PublishedMethod]  # by method, then task or group

    def training(self, model: str, embedded: bool, tasks: tuple[str, ...], method: str) -> tuple[str, Keys | None]:
        """How a method is trained.

        Args:
            model: its name; `embedded`: whether it is one of those that `recipes.embedded` is about.
            tasks: names of the task, most specific first. The first that has a published recipe counts.
            method: its name.

        Returns:
            Where the recipe stands, or would stand if there is none, such as `recipes.published.prefix.e2e`; and its
            keys, or None if there is none.
        """
        if embedded:
            return _first(self._embedded.get(model, {}), (method,), f"embedded.{model}")
        return _first(self._published.get(method, {}), tasks, f"published.{method}")

    def decoding(self, tasks: tuple[str, ...]) -> tuple[str, Keys | None]:
        """How texts are cut and decoded; arguments and result as of `training`."""
        return _first(self._tasks, tasks, "tasks")

    def has_option(self, method: str, option: str) -> bool:
        """Whether any recipe of a method has an option, such as prefix_len: whether the method has such a thing."""
        tables = [self._published.get(method, {}).values()]
        tables += [[recipes[method]] for recipes in self._embedded.values() if method in recipes]
        return any(option in keys for table in tables for _, keys in table)

    def unknown(self, methods: Collection[str], tasks: Collection[str]) -> str | None:
        """The dotted name of the first entry that is for no known method, task or group; None: there is none such."""
        tables = {f"embedded.{model}": (table, methods) for model, table in self.embedded.items()}
        tables |= {f"published.{method}": (own.recipes, tasks) for method, own in self.published.items()}
        names = {f"published.{method}": method in methods for method in self.published}
        for path, (table, known) in {"tasks": (self.tasks, tasks), **tables}.items():
            names |= {f"{path}.{name}": name in known for name in table if name != DEFAULT}
        return next((f"recipes.{path}" for path, known in names.items() if not known), None)

    @model_validator(mode="after")
    def _complete(self) -> "Recipes":
        if self.default.like is not None:
            _refuse("default.like", "only a recipe is like another")
        trainings = {f"embedded.{model}": recipes for model, recipes in self._embedded.items()}
        # First what takes nothing from another method: a fault is named where it stands.
        for method in sorted(self.published, key=lambda method: self.published[method].like is not None):
            trainings[f"published.{method}"] = self._published[method]
        for path, recipes in trainings.items():
            for name, (_, keys) in recipes.items():
                _need(f"{path}.{name}", keys, TRAINING_NEEDS)
                if "epochs" not in keys and "steps" not in keys:
                    _refuse(f"{path}.{name}", "must have either epochs or steps")
        for path, keys in self._tasks.values():
            _need(path, keys, DECODING_NEEDS)
        return self

    @property
    def _base(self) -> Keys:
        return _merged(self.default.keys)

    @cached_property
    def _tasks(self) -> Resolved:
        return _resolve(self.tasks, "tasks", {})

    @cached_property
    def _embedded(self) -> dict[str, Resolved]:
        return {model: _resolve(table, f"embedded.{model}", self._base) for model, table in self.embedded.items()}

    @cached_property
    def _published(self) -> dict[str, Resolved]:
        def resolve(method: str, seen: tuple[str, ...]) -> Resolved:
            own, path = self.published[method], f"published.{method}"
            if own.like is None:
                return _resolve(own.recipes, path, self._base)
            _check_like(f"{path}.like", own.like, (*seen, method), self.published)
            return _resolve(own.recipes, path, self._base, resolve(own.like, (*seen, method)))

        return {method: resolve(method, ()) for method in self.published}
