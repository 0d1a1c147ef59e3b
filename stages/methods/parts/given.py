"""Trained runs that a method starts from, as params.yaml names them."""

from pathlib import Path

from stages.core.errors import UserError

RUN = Path("data/run/model")  # the trained run of dvc.yaml


def given_run(key: str, directory: str) -> Path:
    """The directory under a key of params.yaml. Raises UserError for the one that DVC deletes before a training."""
    if Path(directory).resolve() == RUN.resolve():
        raise UserError(f"params.yaml: {key} is {RUN}, which DVC deletes before it trains anew: copy it elsewhere")
    return Path(directory)
