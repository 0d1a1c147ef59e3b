"""The methods, one file each. A method is found by its file's name and imported only when params.yaml names it.

A method's file has
- `FAMILIES`: the model families that it supports;
- `BATCHED_RUNS`: whether several runs can train in one batch;
- `OPTIONS`: the sections of `methods` in params.yaml that it reads, with their types;
- `build(lm, config, seeds)`: the trainable runs, one per seed, as a `stages.training.method.Method`;
- `load(lm, state)`: the `Adaptation` of trained runs, from what `Method.state()` gave;
- `UNTRAINED = True`, only in a method that trains nothing: its runs have no training settings;
- `files(config)`, only in a method that starts from trained runs: the files that it reads;
- `needs_labels(config)`, only in a method that may read the task's classes: whether it does.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator

from stages.core.errors import UserError
from stages.core.registry import known
from stages.core.run_config import Decoding, RunConfig, Training
from stages.core.sections import FILE, RECIPE, Section, validated


def names() -> list[str]:
    """The names of all methods, sorted: the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def check_name(name: str) -> str:
    """Return `name` if it is a method. Otherwise raises ValueError, which lists the methods."""
    return known(name, names())


MethodName = Annotated[str, AfterValidator(check_name)]


def module_of(method: str) -> ModuleType:
    """The module of a method, imported now. Raises UserError for an unknown name."""
    try:
        check_name(method)
    except ValueError as error:
        raise UserError(f"{FILE}: method: {error}, not {method!r}") from error
    return importlib.import_module(f"{__name__}.{method}")


def check_fits(method: str, family: str, model: str) -> None:
    """Raises UserError if the method does not support the model's family; the message names the methods that do."""
    if family not in module_of(method).FAMILIES:
        fitting = [name for name in names() if family in module_of(name).FAMILIES]
        raise UserError(f"{FILE}: method {method} is not for {family} models such as {model}; {', '.join(fitting)} are")


def files_of(config: RunConfig) -> list[Path]:
    """The files of trained runs that the method starts from; empty for most methods. Raises UserError as `files`."""
    files = getattr(module_of(config.method), "files", None)
    return [] if files is None else files(config)


def options_of(
    method: str, sections: Mapping[str, Any], recipe: Mapping[str, Any] | None, recipe_name: str
) -> dict[str, Section]:
    """The options of a method: its sections of `methods` in params.yaml by name, typed, with each `recipe` resolved.

    `sections` is `methods` of params.yaml, `recipe` the keys of the recipe (None: there is none), `recipe_name` where
    it is in params.yaml, for messages. A key that the recipe lacks is None if its type admits None, else its default.
    Raises UserError that names the key of a wrong value, or of a required value that the recipe lacks.
    """
    found = {}
    for name, kind in module_of(method).OPTIONS.items():
        key = f"methods.{name}"
        values = validated(kind, sections.get(name, {}), key).model_dump()
        taken = {option for option, value in values.items() if value == RECIPE}
        for option in taken:
            if recipe is not None and option in recipe:
                values[option] = recipe[option]
            elif recipe is not None and _may_be_null(kind, option):
                values[option] = None
            elif kind.model_fields[option].is_required():
                raise UserError(f"{FILE}: {key}.{option} is `recipe`, but {recipe_name} gives none: set it")
            else:
                values[option] = kind.model_fields[option].default
        found[name] = validated(kind, values, key, context={"from_recipe": taken})
    return found


def _may_be_null(kind: type[Section], option: str) -> bool:
    """Whether the option's type admits None."""
    return type(None) in getattr(kind.model_fields[option].annotation, "__args__", ())


def config_from(value: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.as_json`."""
    training, decoding = value["training"], dict(value["decoding"])
    decoding["banned"] = tuple(decoding["banned"])
    # JSON does not say which options came from a recipe. All count as such: `options_of` has checked the others.
    options = {
        name: kind.model_validate(value["options"][name], context={"from_recipe": set(value["options"][name])})
        for name, kind in module_of(value["method"]).OPTIONS.items()
    }
    return RunConfig(**{
        **value, "training": None if training is None else Training(**training), "decoding": Decoding(**decoding),
        "options": options,
    })  # fmt: skip
