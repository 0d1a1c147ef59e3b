"""Directories for interrupted work: `.scratch/<hash of everything that the work depends on>`.

They are not among the stages' outs, since DVC deletes these before a re-run. Work with other settings has another hash,
and therefore never finds them.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stages.core.errors import UserError

SCRATCH = Path(".scratch")


def _directory(settings: Any, *sources: Path) -> Path:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for source in sources:
        try:
            with open(source, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"cannot read {source}: {error.strerror}") from error
    return SCRATCH / digest.hexdigest()[:32]


@contextlib.contextmanager
def scratch(settings: Any, *sources: Path) -> Iterator[Path]:
    """A directory for work with these settings (JSON) and source files: a re-run finds it again.

    It is deleted at the end of the block if there was no error. Raises UserError if a source file cannot be read, or if
    another process uses the directory: a stage keeps running when only `dvc` is killed.
    """
    directory = _directory(settings, *sources)
    with _locked(directory.with_suffix(".lock")):
        yield directory
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Lock a file for this process. The empty file is not deleted: otherwise two processes could each lock one."""
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{file}: another process is at this work: wait for its end, or end it") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be locked ({error.strerror or error})") from error
    try:
        yield
    finally:
        lock.release()
