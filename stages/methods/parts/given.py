"""Trained runs that a method starts from: the directories that params.yaml names."""

from pathlib import Path

from stages.core.errors import UserError

RUN = Path("data/run/model")  # the trained run of dvc.yaml


def given_run(key: str, directory: str) -> Path:
    """The directory of a trained run that `key` of params.yaml names.

    Raises UserError for data/run/model, which DVC deletes before the training that would read it.
    """
    if Path(directory).resolve() == RUN.resolve():
        raise UserError(f"params.yaml: {key} is {RUN}, which DVC deletes before it trains anew: copy it elsewhere")
    return Path(directory)
