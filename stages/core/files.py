"""Reads and writes text, JSON and JSON Lines. Files are written completely or not at all."""

import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.core.errors import UserError

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; the file or directory written there replaces `path` if no error occurs.

    A directory that stands there changes places with the new one, so that a reader finds one of them at any time.
    Raises UserError if writing fails, for instance on a full disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        if path.is_dir() and not path.is_symlink():
            exchange(temporary, path)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    """Delete a file or directory, if there is one and it can be: the error that led here is the one to tell."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sweep(path: Path) -> None:
    """Delete what processes that were killed have left beside `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2]
        if process.isdigit() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            _remove(left)


def exchange(one: Path, other: Path) -> None:
    """Let two files or directories change places. Raises OSError.

    At once on Linux (`renameat2`); elsewhere, and on file systems without it, by renaming, with a moment between.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
            return
        if (code := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(other))
    aside = other.with_name(f".{other.name}.{os.getpid()}.old")
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, completely or not at all. Raises UserError as `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def json_text(value: Any) -> str:
    """Indented JSON, keys in the order given. Raises ValueError for NaN or infinity."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `json_text` of a value to a file. Raises UserError as `replacing`."""
    write_text(path, json_text(value))


def write_jsonl(path: Path, records: Iterable[dict]) -> None:
    """Write JSON Lines, one record per line. Raises UserError as `replacing`."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file: line ends are kept, a byte-order mark is dropped.

    Raises UserError if the file cannot be read, or is not UTF-8; the message names file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8") from error


class TextFile:
    """A UTF-8 file that is read only once, at the first access, because a pipe cannot be read twice.

    `text` and `lines` raise UserError as `read_text`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return read_text(self.path)

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends: LF or CRLF, or CR in a file without any LF.

        str.splitlines would also split at U+0085, U+2028 and others.
        """
        text = self.text.replace("\r\n", "\n")
        lines = text.split("\n" if "\n" in text else "\r")
        return lines if lines[-1] else lines[:-1]


def parse_json(text: str, path: object, line: int | None = None) -> Any:
    """The value of a JSON text, which is the whole file `path` or its line number `line`.

    Raises UserError that names file and line if it is not JSON, nested too deeply, or has too long a number for Python.
    """
    where = f"{path}, line {line}" if line else str(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {line or error.lineno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise UserError(f"{where}: JSON that is nested too deeply to be read") from error
    except ValueError as error:  # the only other cause: a whole number with too many digits for Python
        raise UserError(f"{where}: a whole number of more than {sys.get_int_max_str_digits():,} digits") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises UserError as `read_text` and `parse_json`."""
    return parse_json(read_text(path), path)


def read_jsonl(path: Path) -> list[dict]:
    """The values of a JSON Lines file; blank lines are skipped. Raises UserError as `read_text` and `parse_json`."""
    lines = enumerate(TextFile(path).lines, start=1)
    return [parse_json(line, path, number) for number, line in lines if line.strip()]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex. Raises OSError if it cannot be read."""
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
