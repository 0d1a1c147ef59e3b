"""Errors for the user: one line that says what is wrong, where, and what would be right."""

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator

DEBUG = "PREFIX_DEBUG"  # set to anything, it shows the traceback above the line


class UserError(Exception):
    """Something the user can put right; the message is complete and fits on one line."""


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Make a stage's `main` end with status 1 and one line on errors that are not ours to debug."""

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
    """Any failure of a library within the block becomes a UserError: what `failed`, and the first line of the cause."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        cause = f"{type(error).__name__}: {lines[0].strip()}"
        raise UserError(f"{failed} ({cause[:300]}); {DEBUG}=1 shows the traceback") from error
