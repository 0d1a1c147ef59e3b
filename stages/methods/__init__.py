"""Methods: one file each, found by its name; nothing is imported before it is chosen.

A method's file has
- `FAMILIES`: the model families that it fits;
- `BATCHED_RUNS`: whether several runs can train in one batch;
- `OPTIONS`: the sections of `methods` in params.yaml that it reads, with their types;
- `build(lm, config, seeds)`: the trainable runs, one per seed, a `stages.training.method.Method`;
- `load(lm, state)`: what a trained run's `state()` attaches to the model;
- `files(config)`, where it starts from trained runs: the files that it reads.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator

from stages.core.errors import UserError
from stages.core.run_config import Decoding, RunConfig, Training
from stages.core.sections import FILE, RECIPE, Section, validated


def names() -> list[str]:
    """The methods that there are: the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def check_name(name: str) -> str:
    """The name of a method as it is. Raises ValueError that lists the known ones for another."""
    if name not in names():
        *others, last = map(repr, names())
        raise ValueError(f"Input should be {', '.join(others)} or {last}")
    return name


MethodName = Annotated[str, AfterValidator(check_name)]


def module_of(method: str) -> ModuleType:
    """The method's file. Raises UserError for a name that has none."""
    try:
        check_name(method)
    except ValueError as error:
        raise UserError(f"{FILE}: method: {error}, not {method!r}") from error
    return importlib.import_module(f"{__name__}.{method}")


def check_fits(method: str, family: str, model: str) -> None:
    """Raises UserError, naming the methods that do, if it does not fit the models of a family."""
    if family not in module_of(method).FAMILIES:
        fitting = [name for name in names() if family in module_of(name).FAMILIES]
        raise UserError(f"{FILE}: method {method} is not for {family} models such as {model}; {', '.join(fitting)} are")


def files_of(config: RunConfig) -> list[Path]:
    """The files of trained runs that the method starts from."""
    files = getattr(module_of(config.method), "files", None)
    return [] if files is None else files(config)


def options_of(
    method: str, sections: Mapping[str, Any], recipe: Mapping[str, Any] | None, recipe_name: str
) -> dict[str, Section]:
    """The method's sections of `methods`, typed; `recipe` in them is replaced by what the recipe gives.

    A key that the recipe lacks is null where its type admits that, or its default. Raises UserError naming the key of a
    wrong value, and of one that the recipe lacks.
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
    """The configuration that `RunConfig.as_json` gave."""
    training, decoding = value["training"], dict(value["decoding"])
    decoding["banned"] = tuple(decoding["banned"])
    # Which options a recipe gave is known no longer; `options_of` has checked the others.
    options = {
        name: kind.model_validate(value["options"][name], context={"from_recipe": set(value["options"][name])})
        for name, kind in module_of(value["method"]).OPTIONS.items()
    }
    return RunConfig(**{
        **value, "training": None if training is None else Training(**training), "decoding": Decoding(**decoding),
        "options": options,
    })  # fmt: skip
