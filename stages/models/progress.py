"""Progress bars of libraries: on a terminal only, like our own (`tqdm(..., disable=None)`)."""

import contextlib
import io
import sys
from collections.abc import Iterator

import transformers


def quiet_unless_terminal() -> None:
    """Turn transformers' progress bars off unless stderr is a terminal."""
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()


@contextlib.contextmanager
def silent_unless_terminal() -> Iterator[None]:
    """Print nothing to stderr within the block unless it is a terminal: for bars that have no switch."""
    quiet_unless_terminal()
    with contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO()):
        yield
