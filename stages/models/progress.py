"""Progress bars of libraries: on a terminal only, as our own (`tqdm(..., disable=None)`)."""

import sys

import transformers


def quiet_unless_terminal() -> None:
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
