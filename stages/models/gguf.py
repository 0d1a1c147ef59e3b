"""Language models in GGUF files: de-quantised once, into a directory that transformers loads like any other.

The directory is in the user's cache, under the sha256 of the file, and is written completely or not at all. transformers
reads configuration, weights and tokenizer; the package `gguf` (the extra of that name) reads the file.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path

from stages.core.cache import ELSEWHERE, cached
from stages.core.errors import UserError
from stages.core.files import replacing, sha256

_LAYOUT = 1  # counts changes in how files are converted: what another version wrote is not read


def dequantized(file: Path, expected: str | None = None) -> Path:
    """The directory with the de-quantised model of a GGUF file: fp32 safetensors, config.json and tokenizer.

    Makes the directory if the cache lacks it, and waits if another process is making it.

    Args:
        file: the GGUF file.
        expected: the sha256 that the file must have; None: any.

    Raises UserError if the file cannot be read, has another sha256, is damaged or of a kind that is not supported, if the
    package `gguf` is missing, or if the cache cannot be written.
    """
    found = _sum_of(file)
    if expected not in (None, found):
        raise UserError(f"{file} is damaged: its sha256 is {found}, not {expected}: install the package again")
    return cached(f"gguf/{found}-{_LAYOUT}", lambda directory: _make(file, directory))


def _sum_of(file: Path) -> str:
    try:
        facts = file.stat()
        return _sum(file, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise UserError(f"cannot read model {file}: {error.strerror or error}") from error


@cache
def _sum(file: Path, size: int, changed: int) -> str:
    """The sha256 of a file, read once in a process as long as its size and its time of change are the same."""
    return sha256(file)


def _make(file: Path, directory: Path) -> None:
    """De-quantise a file into a directory, whole or not at all."""
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"model {file}: GGUF files need the package {missing[0]}, which is not installed: "
            "pip install -c constraints.txt -e '.[gguf]'"
        )
    from safetensors import SafetensorError

    from stages.models import gguf_read

    header = gguf_read.header_of(file)
    size = f"{header.size / 1e9:.2f} GB"
    print(f"{file.name}: de-quantised once, {size}, into {directory}", file=sys.stderr)
    parts = gguf_read.read(file, header)  # the model and its tokenizer
    try:
        with replacing(directory) as out:
            for part in parts:
                part.save_pretrained(out)
    except (UserError, SafetensorError) as error:
        cause = error if isinstance(error, UserError) else f"cannot write {directory}: {error}"
        raise UserError(f"{cause}; the model takes {size}{ELSEWHERE}") from error
