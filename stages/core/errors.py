"""Errors for the user: one line that says what is wrong, where, and how to put it right."""

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator

DEBUG = "PREFIX_DEBUG"  # an environment variable: if it is set, the traceback is shown above the error


class UserError(Exception):
    """An error that the user can put right. The message is complete and fits on one line."""


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Decorate the `main` of a stage: a UserError or Ctrl-C ends it with status 1 and one line on stderr."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except UserError as error:
            if os.environ.get(DEBUG):
                traceback.print_exc()
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted: the same command goes on from the last checkpoint")

    return run


@contextlib.contextmanager
def foreign_code(failed: str) -> Iterator[None]:
    """Turn any exception of a library inside the block into a UserError: `failed` and the first line of the cause."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        cause = f"{type(error).__name__}: {lines[0].strip()}"
        raise UserError(f"{failed} ({cause[:300]}); {DEBUG}=1 shows the traceback") from error
