"""Errors for the user: one line that says what is wrong, where, and what would be right."""

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can put right; the message is complete and fits on one line."""


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Make a stage's `main` end with status 1 and one line on errors that are not ours to debug."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted: the same command goes on from the last checkpoint")

    return run
