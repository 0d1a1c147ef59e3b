"""Trained runs that a method starts from: the directories that params.yaml names."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.core.errors import UserError
from stages.core.sections import Text

RUN = Path("data/run/model")  # the trained run of dvc.yaml
# An option that names the directory of a run. Where it names none, it is left out of what a run's settings say: they are
# those of versions without the option.
RunOption = Annotated[Text | None, Field(exclude_if=lambda value: value is None)]


def given_run(key: str, directory: str) -> Path:
    """The directory of a trained run that `key` of params.yaml names.

    Raises UserError for data/run/model, which DVC deletes before the training that would read it.
    """
    if Path(directory).resolve() == RUN.resolve():
        raise UserError(f"params.yaml: {key} is {RUN}, which DVC deletes before it trains anew: copy it elsewhere")
    return Path(directory)
