"""Where exports and imports are written."""

from pathlib import Path

from stages.core.errors import UserError


def check_new(out: Path) -> None:
    """Raises UserError if `out` exists: what a user names by mistake is not replaced."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists: delete it, or give another name")
