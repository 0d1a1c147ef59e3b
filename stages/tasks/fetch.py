"""Public files: copied from the user's directory or downloaded, and checked against their checksums."""

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from stages.core.errors import UserError
from stages.core.files import replacing, sha256
from stages.sources import Files, Tree

TIMEOUT_SECONDS = 60


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, open(path, "wb") as out:
            size = int(response.headers.get("Content-Length", 0)) or None
            with tqdm.wrapattr(response, "read", total=size, desc=path.name, disable=None) as data:
                shutil.copyfileobj(data, out)
            if size is not None and out.tell() != size:
                raise ConnectionError(f"it broke off behind {out.tell():,} of {size:,} bytes")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error).strip() or type(error).__name__
        raise UserError(
            f"cannot download {url} ({reason}): set sources.<task>.root to a directory that holds the file"
        ) from error


def fetch_files(source: Files, out: Path, names: Iterable[str] | None = None) -> None:
    """Put the files of `source` (or those of `names`) into the new directory `out`, or none.

    Raises UserError for a file that is missing, cannot be downloaded or has another checksum.
    """
    wanted = list(dict.fromkeys(names or source.files))
    with replacing(out) as directory:
        directory.mkdir()
        for name in wanted:
            path, file = directory / name, source.files[name]
            path.parent.mkdir(exist_ok=True)
            origin = file.url if source.root is None else str(Path(source.root) / name)
            if source.root is None:
                _download(origin, path)
            elif not Path(origin).is_file():
                raise UserError(f"{origin} does not exist: sources.<task>.root must hold {', '.join(wanted)}")
            else:
                shutil.copyfile(origin, path)
            check_file(path, origin, file.checksums)


def check_file(path: Path, origin: str, checksums: list[str]) -> None:
    """Raises UserError if the file has none of the checksums, `sha256:...` or `git:...`."""
    actual = {"sha256": sha256(path), "git": git_object_name(path)}
    if not any(actual[kind] == value for kind, value in (checksum.split(":") for checksum in checksums)):
        raise UserError(
            f"{origin} has sha256 {actual['sha256']}, but params.yaml expects {' or '.join(checksums)}: "
            "not the official file"
        )


def git_object_name(path: Path) -> str:
    """What git calls a file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def fetch_tree(source: Tree, out: Path, suffix: str) -> None:
    """Put the files of `source` that end in `suffix`, with their folders, into the new directory `out`, or none.

    Raises UserError if they are missing, cannot be downloaded or are not those that the checksum says.
    """
    with replacing(out) as directory:
        directory.mkdir()
        if source.root is None:
            _unpack(source, directory, suffix)
        else:
            _copy(Path(source.root), directory, suffix)
        origin = source.root or source.url
        if (actual := tree_sha256(directory)) != source.sha256:
            raise UserError(
                f"the {suffix} files in {origin} have sha256 {actual} together, but params.yaml expects "
                f"{source.sha256}: not the official files"
            )


def tree_sha256(directory: Path) -> str:
    """Of the lines `sha256  path`, as sha256sum prints them, in the order of the paths below the directory."""
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    lines = "".join(f"{sha256(directory / name)}  {name}\n" for name in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _copy(root: Path, out: Path, suffix: str) -> None:
    if not root.is_dir():
        raise UserError(f"{root} does not exist: sources.<task>.root must be a directory")
    for path in sorted(root.rglob(f"*{suffix}")):
        target = out / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _unpack(source: Tree, out: Path, suffix: str) -> None:
    """Download the archive and take the files of its folder."""
    archive = out.with_name(f"{out.name}.zip")
    try:
        _download(source.url, archive)
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                parts = PurePosixPath(name).parts
                if not name.endswith(suffix) or source.folder not in parts or ".." in parts:
                    continue
                target = out.joinpath(*parts[parts.index(source.folder) + 1 :])
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(name) as data, open(target, "wb") as file:
                    shutil.copyfileobj(data, file)
    except zipfile.BadZipFile as error:
        raise UserError(f"{source.url} is no archive ({error})") from error
    finally:
        archive.unlink(missing_ok=True)
