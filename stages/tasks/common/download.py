"""Public files: copied from the user's directory or downloaded, and checked against their checksums."""

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from stages.core.errors import UserError
from stages.core.files import replacing, sha256
from stages.core.sections import Section

TIMEOUT_SECONDS = 60

Https = Annotated[str, Field(pattern="^https://")]
Checksum = Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")]


class File(Section):
    """One public file: its path below the address of all, and the checksums of the versions of it that are right.

    `sha256:<hex>`, or `git:<hex>`, the object name that git (and GitHub) gives its content.
    """

    path: str
    checksums: Annotated[list[Checksum], Field(min_length=1)]


class Files(Section):
    """Public files by name: from a directory `root` that holds those names, or from below `url`; checked either way."""

    root: str | None
    url: Https
    files: dict[str, File]

    def address(self, name: str) -> str:
        return f"{self.url}/{self.files[name].path}"


class Tree(Section):
    """A folder of public files: the directory `root`, or `folder` of the archive at `url`; `sha256` is of the whole."""

    root: str | None
    url: Https
    folder: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


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


def fetch_files(source: Files, out: Path, names: Iterable[str] | None = None, earlier: Path | None = None) -> None:
    """Put the files of `source` (or those of `names`) into the directory `out`, or none; what else it held is gone.

    A file that the directory `earlier` (None: `out`) already holds, with a right checksum, is not downloaded again.
    Raises UserError for a file that is missing, cannot be downloaded or has another checksum.
    """
    wanted = list(dict.fromkeys(names or source.files))
    with replacing(out) as directory:
        directory.mkdir()
        for name in wanted:
            path, file, present = directory / name, source.files[name], (earlier or out) / name
            path.parent.mkdir(exist_ok=True)
            if source.root is not None:
                origin = Path(source.root) / name
                if not origin.is_file():
                    raise UserError(f"{origin} does not exist: sources.<task>.root must hold {', '.join(wanted)}")
                shutil.copyfile(origin, path)
                check_file(path, str(origin), file.checksums)
            elif present.is_file() and is_right(present, file.checksums):
                shutil.copyfile(present, path)
            else:
                _download(source.address(name), path)
                check_file(path, source.address(name), file.checksums)


def is_right(path: Path, checksums: list[str]) -> bool:
    """Whether the file has one of the checksums, `sha256:...` or `git:...`."""
    actual = {"sha256": sha256(path), "git": git_object_name(path)}
    return any(actual[kind] == value for kind, value in (checksum.split(":") for checksum in checksums))


def check_file(path: Path, origin: str, checksums: list[str]) -> None:
    """Raises UserError if the file has none of the checksums."""
    if not is_right(path, checksums):
        raise UserError(
            f"{origin} has sha256 {sha256(path)}, but params.yaml expects {' or '.join(checksums)}: "
            "not the official file"
        )


def git_object_name(path: Path) -> str:
    """What git calls a file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def fetch_tree(source: Tree, out: Path, suffix: str) -> None:
    """Put the files of `source` that end in `suffix`, with their folders, into the directory `out`, or none; what else it held is gone.

    What `out` already holds, with the right checksum, is not downloaded again. Raises UserError if the files are
    missing, cannot be downloaded or are not those that the checksum says.
    """
    if source.root is None and out.is_dir() and tree_sha256(out) == source.sha256:
        return
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
