"""Collects what the files of a package define, so that no list of the files is needed."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from stages.core.errors import UserError


def known(name: str, names: Sequence[str]) -> str:
    """Return `name` if it is one of `names`, at least two. Otherwise raises ValueError, which lists them."""
    if name not in names:
        *others, last = map(repr, names)
        raise ValueError(f"Input should be {', '.join(others)} or {last}")
    return name


def definitions(package: ModuleType, attribute: str, everywhere: bool) -> dict[str, Any]:
    """Merge the dictionaries named `attribute` of all files of a package, sorted by key.

    Subpackages and `__main__` are skipped. With `everywhere`, each file must have the dictionary.
    Raises UserError for a file that lacks it, and for a key that two files define.
    """
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for file in pkgutil.iter_modules(package.__path__):
        if file.ispkg or file.name == "__main__":
            continue
        module = import_module(f"{package.__name__}.{file.name}")
        own = getattr(module, attribute, None)
        if own is None and everywhere:
            raise UserError(f"{module.__file__} defines no {attribute}: a dictionary by name")
        for name, value in (own or {}).items():
            if name in places:
                raise UserError(f"{attribute} has {name} twice: in {places[name]} and in {module.__file__}")
            found[name], places[name] = value, str(module.__file__)
    return dict(sorted(found.items()))
