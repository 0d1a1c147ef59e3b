"""A directory of trained runs of one base model: added, replaced and deleted atomically, loaded when they are asked for.

Each entry is a copy of `data/run/model` under its name. What is loaded stays within a bound of memory; the entry that
was used least recently goes first.
"""

import re
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import read_json, replacing
from stages.methods.parts import saved
from stages.models.adaptation import Adaptation
from stages.models.identity import CONFIG, base_model_id, check_belongs
from stages.models.model import GenerativeLM

CARD = "README.md"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Entry:
    """A run in the bank, from its `config.json`: `tokens` are its virtual tokens (None: the method has none)."""

    name: str
    method: str
    base_model: str
    tokens: int | None


def entry_of(run: Path) -> Entry:
    """The entry that a trained run in a directory would be. Raises UserError if its config is not one of a run."""
    file = run / CONFIG
    config = read_json(file)
    try:
        return Entry(run.name, config["method"], config["base_model"], config.get("prefix_len"))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not of a trained run ({error})") from error


def check_name(name: str) -> str:
    """The name as it is. Raises UserError for one that could not be a file name everywhere."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name of a prefix: up to 100 letters, digits, `.`, `_` and `-`, the first a letter or digit"
        )
    return name


class Bank:
    """The files of a bank. It needs no model: what it lists is not checked yet."""

    def __init__(self, directory: Path):
        self.directory = directory

    def path_of(self, name: str) -> Path:
        """The directory of an entry. Raises UserError as `check_name`, and for a name that is not in the bank."""
        path = self.directory / check_name(name)
        if not (path / CONFIG).is_file():
            raise UserError(f"{self.directory} has no prefix {name}")
        return path

    def __contains__(self, name: str) -> bool:
        return NAME.fullmatch(name) is not None and (self.directory / name / CONFIG).is_file()

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.name in self)

    def entries(self) -> Iterator[Entry]:
        """All entries in the order of `names`. Raises UserError for a config that is not one of a trained run."""
        for name in self.names():
            yield entry_of(self.directory / name)

    def remove(self, name: str) -> None:
        """Delete an entry. Texts that are being written with it go on. Raises UserError as `path_of`."""
        path = self.path_of(name)
        gone = path.with_name(f".{name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        try:
            path.rename(gone)  # from here on nobody finds it, whatever happens to its files
            shutil.rmtree(gone)
        except OSError as error:
            raise UserError(f"cannot delete {path}: {error.strerror or error}") from error


class PrefixBank(Bank):
    """A bank beside the base model of its runs."""

    def __init__(self, directory: Path, lm: GenerativeLM, most_bytes: int):
        """`most_bytes` bounds the tensors of loaded entries; one entry alone may exceed it. `lm` is as it was loaded:
        what identifies it is taken here, before its weights are converted.

        Raises UserError if the first entry is of another model: a bank has runs of one.
        """
        super().__init__(directory)
        self.lm, self.most_bytes, self.identity = lm, most_bytes, base_model_id(lm)
        if names := self.names():
            check_belongs(directory / names[0], lm, self.identity)
        self.loaded: OrderedDict[str, tuple[object, Adaptation]] = OrderedDict()  # the last one was used last
        self.loaded_bytes = (
            0  # of their tensors: kept, because a bank may hold thousands and a server asks at each step
        )

    def add(self, name: str, run: Path, card: str | None = None) -> None:
        """Copy a trained run into the bank, in place of an entry of that name. `card` becomes its README.md.

        Raises UserError if it is no run of this model, if its files are damaged, or if its method cannot be in a
        batch with others; then the bank is as it was.
        """
        check_name(name)
        check_served(self._read(run), run)
        with replacing(self.directory / name) as out:
            shutil.copytree(run, out)
            if card is not None:
                (out / CARD).write_text(card, encoding="utf-8")
            self._read(out)  # the original may have changed meanwhile

    def get(self, name: str) -> Adaptation:
        """The adaptation of an entry, loaded if it is not, or if it was replaced since.

        Raises UserError as `path_of`, and if the entry does not fit the model or is damaged.
        """
        path = self.path_of(name)
        version = _version(path)
        known = self.loaded.get(name)
        if known is None or known[0] != version:
            adaptation = self._read(path)
            check_served(adaptation, path)
            if known is not None:
                self._forget(name)
            self.loaded[name] = version, adaptation
            self.loaded_bytes += bytes_of(adaptation)
        self.loaded.move_to_end(name)
        while len(self.loaded) > 1 and self.loaded_bytes > self.most_bytes:
            self._forget(next(iter(self.loaded)))
        return self.loaded[name][1]

    def _forget(self, name: str) -> None:
        self.loaded_bytes -= bytes_of(self.loaded.pop(name)[1])

    def _read(self, path: Path) -> Adaptation:
        labels = self.lm.labels
        try:
            return saved.load(path, self.lm, self.identity)
        finally:
            self.lm.labels = labels  # of the run alone: the model is everyone's


def _version(path: Path) -> object:
    """Changes with each entry of the same name."""
    found = (path / CONFIG).stat()
    return found.st_ino, found.st_mtime_ns


def check_served(adaptation: Adaptation, run: Path) -> None:
    """Raises UserError if a run has more than prefixes or a prompt, which are read once before each text."""
    if not adaptation.read_once:
        raise UserError(
            f"{run} cannot share a batch with other runs: its method changes the model in each step. A bank takes "
            "prefix, embedding_only, prompt_tuning, prompt_projection and in_context"
        )


def bytes_of(adaptation: Adaptation) -> int:
    """Bytes of the prefixes and the prompt of a run."""
    held = [*adaptation.prefixes.values(), *([] if adaptation.prompt is None else [adaptation.prompt])]
    return sum(tensor.nbytes for tensor in held)
