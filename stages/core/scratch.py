"""Where work is kept that was interrupted: `.scratch/<hash of everything it depends on>`.

It lies outside the stages' outs, so that DVC does not delete it before a re-run, and work with other settings never
finds it.
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
    """A directory for work with these settings and files, found again by a re-run and deleted on success.

    Raises UserError where another process is at work in it: a stage goes on when `dvc` alone is killed.
    """
    directory = _directory(settings, *sources)
    with _locked(directory.with_suffix(".lock")):
        yield directory
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """This process alone holds the file, which stays behind, empty: to delete it would let two processes hold one each."""
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
