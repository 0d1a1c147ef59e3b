"""Progress bars of libraries: on a terminal only, like our own (`tqdm(..., disable=None)`)."""

import sys

import transformers


def quiet_unless_terminal() -> None:
    """Turn transformers' progress bars off unless stderr is a terminal."""
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
