"""Tasks: each file of this folder defines one or several in its dictionary `TASKS`. The folder is the only list of them.

How to add one: docs/tasks.md.
"""

import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError, create_model

from stages.core.errors import UserError
from stages.core.record import Record
from stages.core.registry import definitions, known
from stages.core.sections import FILE, Section, message_of
from stages.scoring.metric_set import MetricSet


class Linearize(Section):
    """The section `linearize` of params.yaml: options of linearization, each of one task."""

    tokenize_targets: bool
    authors_first_entry: bool


def references_of(hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
    """Hypotheses and references as most metric sets take them: texts, and the targets of each."""
    return hypotheses, [record.targets for record in records]


@dataclass(frozen=True)
class Shown:
    """Which of a task's metrics figures and tables show."""

    figures: tuple[str, ...]
    columns: tuple[str, ...] = ()  # of tables, where they are more than those of figures
    percent: tuple[str, ...] = ()  # metrics in [0, 1] that are printed times 100


@dataclass(frozen=True)
class Task:
    """A data set: where it comes from, how it becomes records, and how hypotheses are scored.

    `download(source, out)` puts the official files into the directory `out`, all or none; `out` may be there already.
    `linearize(raw, options)` reads them: records of train, dev and test. `postprocess(hypotheses, records)` gives what
    the metrics compare. Each raises UserError for what the user can put right.
    """

    source: type[Section]  # of its section of `sources`
    download: Callable[[Any, Path], None]
    linearize: Callable[[Path, Linearize], dict[str, Iterable[Record]]]
    metrics: MetricSet
    shown: Shown
    postprocess: Callable[[list[str], list[Record]], tuple[list, list]] = references_of
    recipe: str | None = None  # the task or group whose recipes it takes where it has none of its own
    section: str | None = None  # the key of its section of `sources`; None: its name
    authors_files: Callable[[dict[str, list[Record]]], dict[str, str]] | None = None  # texts by file name
    # Whether a text (second) mentions each field of a source (first), by field.
    mentioned: Callable[[str, str], dict[str, bool]] | None = None
    votes: bool = False  # whether the answers of several runs can be put to the vote


@cache
def _tasks() -> dict[str, Task]:
    return definitions(sys.modules[__name__], "TASKS", everywhere=True)


def names() -> list[str]:
    """The names of all tasks, sorted. Raises UserError for a file without TASKS, and for a name that two files define."""
    return list(_tasks())


def check_name(name: str) -> str:
    """The name of a task as it is. Raises ValueError that lists the known ones for another."""
    return known(name, names())


TaskName = Annotated[str, AfterValidator(check_name)]


def task_of(name: str) -> Task:
    """Raises UserError that lists the known tasks for another name."""
    try:
        return _tasks()[check_name(name)]
    except ValueError as error:
        raise UserError(f"{FILE}: task: {error}, not {name!r}") from error


def module_of(name: str) -> str:
    """The module that defines a task. Raises UserError as `task_of`."""
    task_of(name)
    modules = (import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__) if not file.ispkg)
    return next(module.__name__ for module in modules if name in module.TASKS)


def recipe_names(name: str) -> tuple[str, ...]:
    """Under which names a task's recipes stand, the first that has one counts: its own, then those it takes.

    The last may be that of a group, such as `superglue`, which is no task. Raises UserError for a task that would take
    its own.
    """
    chain = [name]
    while (task := _tasks().get(chain[-1])) is not None and task.recipe is not None:
        if task.recipe in chain:
            raise UserError(f"task {chain[-1]} takes the recipes of {task.recipe}, which takes those of {chain[-1]}")
        chain.append(task.recipe)
    return tuple(chain)


def check_sources(raw: dict[str, Any]) -> dict[str, Section]:
    """The sections of `sources`, each with the type that its tasks give it.

    Raises UserError that names the first key that is unknown, missing or wrong.
    """
    try:
        return dict(_sources().model_validate(raw))
    except ValidationError as error:
        raise UserError(message_of(error, "sources")) from error


@cache
def _sources() -> type[Section]:
    kinds: dict[str, type[Section]] = {}
    for name, task in _tasks().items():
        section = task.section or name
        if kinds.setdefault(section, task.source) is not task.source:
            kinds_said = f"{kinds[section].__name__}, but task {name} as {task.source.__name__}"
            raise UserError(f"sources.{section} is read as {kinds_said}: tasks of one section share its type")
    return create_model("Sources", __base__=Section, **{section: (kind, ...) for section, kind in kinds.items()})


def source_of(name: str, sources: dict[str, Section]) -> Section:
    """The section that says where the task `name` comes from."""
    return sources[task_of(name).section or name]
