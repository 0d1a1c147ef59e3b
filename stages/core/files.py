"""Reading and writing files so that nothing is ever half-written."""

import contextlib
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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there becomes `path` if no error occurs.

    Works for a file and for a directory. Raises UserError when the disk is full or not writable.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def json_text(value: Any) -> str:
    """JSON with a stable order of keys as given, for people and for `dvc diff`."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    write_text(path, json_text(value))


def write_jsonl(path: Path, records: Iterable[dict]) -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_text(path: Path) -> str:
    """Read UTF-8, line ends as they are; a byte-order mark is dropped.

    Raises UserError that names the file, and the line where the encoding is wrong.
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
    """A UTF-8 file that is read once, when its text is first asked for: a pipe cannot be read twice.

    Reading raises UserError as `read_text` does.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def text(self) -> str:
        return read_text(self.path)

    @cached_property
    def lines(self) -> list[str]:
        """Lines end at LF or CRLF only: str.splitlines would also end them at U+0085, U+2028 and others.

        A file without any LF has the line ends of the old Mac, CR.
        """
        text = self.text.replace("\r\n", "\n")
        lines = text.split("\n" if "\n" in text else "\r")
        return lines if lines[-1] else lines[:-1]


def parse_json(text: str, path: object, line: int | None = None) -> Any:
    """The value of a JSON text: of the whole file at `path`, or of one line of it.

    Raises UserError that names file and line, also for what is JSON but too long or too deep for Python.
    """
    where = f"{path}, line {line}" if line else str(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {line or error.lineno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise UserError(f"{where}: JSON that is nested too deeply to be read") from error
    except ValueError as error:  # the only other one: Python converts no longer numbers
        raise UserError(f"{where}: a whole number of more than {sys.get_int_max_str_digits():,} digits") from error


def read_json(path: Path) -> Any:
    """Raises UserError as `read_text` and `parse_json` do."""
    return parse_json(read_text(path), path)


def read_jsonl(path: Path) -> list[dict]:
    """One value a line; blank lines are skipped. Raises UserError as `read_text` and `parse_json` do."""
    lines = enumerate(TextFile(path).lines, start=1)
    return [parse_json(line, path, number) for number, line in lines if line.strip()]


def sha256(path: Path) -> str:
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
