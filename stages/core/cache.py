"""What is made once and kept in the user's cache directory, written completely or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import platformdirs

from stages.core.errors import UserError

CACHE = "PREFIX_CACHE"  # an environment variable: the directory of the cache
ELSEWHERE = f"; the environment variable {CACHE} names another directory for the cache"
_PROJECT = "prefix-tuning-pipeline"


def cache_directory() -> Path:
    """The cache: `PREFIX_CACHE`, else the user's cache directory (on Linux `$XDG_CACHE_HOME` or ~/.cache)."""
    own = os.environ.get(CACHE)
    return Path(own) if own else platformdirs.user_cache_path(_PROJECT)


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The file or directory `name` of the cache.

    If the cache lacks it, `make` is called with its path, which it writes with `replacing`. One process makes it, others
    wait. Raises UserError if the cache cannot be written, and what `make` raises.
    """
    path = cache_directory() / name
    if path.exists():
        return path
    from filelock import FileLock  # slow to import

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}{ELSEWHERE}") from error
    with lock:
        if not path.exists():
            for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            make(path)
    return path
