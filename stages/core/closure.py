"""The files that a module imports, directly and indirectly, and a hash of their code.

Imports are read from the syntax tree. No code is run, and an import inside a function counts. A module that is imported
by a computed name (a method, a task) is not found: the caller names it.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "stages"
ROOT = Path(__file__).parents[2]


def closure(*modules: str) -> list[Path]:
    """The files of the modules and of all modules of this project that they import: sorted, relative to the root."""
    found: set[Path] = set()
    left = [file for module in modules for file in _files_of(module)]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += _imported(file)
    return sorted(found)


def code_hash(files: Iterable[Path]) -> str:
    """The SHA-256 of the files' names and code, in hex. Comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.as_posix()}\n{_code(file)}\n".encode())
    return digest.hexdigest()


def _files_of(module: str) -> Iterator[Path]:
    """The file of a module and the `__init__.py` of its packages. For a name inside a module: those of the module."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = Path(*parts[:end])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if (ROOT / file).is_file():
                yield file


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    own = (name for name in names if name.split(".")[0] == PACKAGE)
    return tuple(file for name in own for file in _files_of(name))


@cache
def _code(file: Path) -> str:
    """The source without comments and docstrings, in one layout."""
    tree = ast.parse((ROOT / file).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_text(node.body):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(body: list[ast.stmt]) -> bool:
    """Whether a block begins with a docstring."""
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
