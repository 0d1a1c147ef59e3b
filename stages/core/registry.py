"""What the files of a package define, found by file name: no list of them stands anywhere."""

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from stages.core.errors import UserError


def definitions(package: ModuleType, attribute: str, everywhere: bool) -> dict[str, Any]:
    """The entries of the dictionaries called `attribute` in the files of a package, by name, sorted.

    Subpackages and `__main__` are not searched. A file may do without the dictionary unless it is to be `everywhere`.
    Raises UserError for a file that lacks it, and for a name that two files define.
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
