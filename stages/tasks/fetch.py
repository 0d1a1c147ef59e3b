"""Public files: copied from the user's directory or downloaded, and checked against their sha256."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from stages.errors import UserError
from stages.files import replacing, sha256
from stages.params import Files

TIMEOUT_SECONDS = 60


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, open(path, "wb") as out:
            size = int(response.headers.get("Content-Length", 0)) or None
            with tqdm.wrapattr(response, "read", total=size, desc=path.name, disable=None) as data:
                shutil.copyfileobj(data, out)
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"cannot download {url} ({reason}): set sources.<task>.root to a directory that holds the file"
        ) from error


def fetch_files(source: Files, out: Path) -> None:
    """Put all files of `source` into the new directory `out`, or none.

    Raises UserError for a file that is missing, cannot be downloaded or has another checksum.
    """
    with replacing(out) as directory:
        directory.mkdir()
        for name, expected in source.sha256.items():
            path, origin = directory / name, source.url + name
            if source.root is None:
                _download(origin, path)
            else:
                origin = str(Path(source.root) / name)
                if not Path(origin).is_file():
                    raise UserError(
                        f"{origin} does not exist: sources.<task>.root must hold {', '.join(source.sha256)}"
                    )
                shutil.copyfile(origin, path)
            if (actual := sha256(path)) != expected:
                raise UserError(
                    f"{origin} has sha256 {actual}, but params.yaml expects {expected}: not the official file"
                )
