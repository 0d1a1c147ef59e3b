"""What the runs of a cell depend on beside code and data: their parameters with every `recipe` resolved.

The stage `check` writes them, and each cell depends on its own file alone: what another method, model or study reads
may change without running it again.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from stages.core.errors import UserError
from stages.core.sections import Section
from stages.methods import METHODS, check_fits
from stages.models.encoder import Encoder
from stages.models.load import family_of
from stages.params import MINILM, Params
from stages.studies.grid import DATA, Cell

DIRECTORY = DATA / "settings"


def file_of(cell: Cell) -> Path:
    return DIRECTORY / cell.study / f"{cell.name}.json"


def settings_of(cell: Cell) -> dict[str, Any]:
    """Raises UserError that names study, variant and key."""
    chosen, grid = cell.first, cell.grid
    with cell.named():
        training = None if chosen.training is None else asdict(chosen.training)
        decoding, given = asdict(chosen.decoding), [str(file) for file in chosen.given]
    read = {
        name: _unresolved(getattr(chosen, name), training or {}) for name in ("train", *METHODS[chosen.method].READS)
    }
    read["decode"] = _unresolved(chosen.decode, decoding)
    return {
        "task": chosen.task,
        "model": chosen.model,
        "revision": chosen.revision,
        "precision": chosen.precision,
        "method": chosen.method,
        "source_words": chosen.source_words,
        "size": cell.size,
        "runs": [run.name for run in cell.runs],
        "test": grid.test,
        "groups": None if grid.groups is None else grid.groups.model_dump(),
        "training": training,
        "decoding": decoding,
        "given": given,
        **read,
    }


def _unresolved(section: Section, resolved: Iterable[str]) -> dict[str, Any]:
    """What a section says that is not among the resolved."""
    return section.model_dump(exclude=set(resolved))


def check_method(cell: Cell) -> None:
    """Raises UserError if the method does not fit the model, or starts from a file that is missing.

    Of a model that is not on this machine nothing is known yet.
    """
    with cell.named():
        family = _family(cell.first)
        if family is not None:
            check_fits(cell.first.method, family, cell.first.model)
        for file in cell.first.given:
            if not file.is_file():
                raise UserError(f"{file}, which method {cell.first.method} is to start from, does not exist")


def _family(chosen: Params) -> str | None:
    if chosen.model == MINILM:  # its package may be missing, which is no reason to refuse the other studies
        return Encoder.family
    directory = chosen.model_directory
    try:
        config = AutoConfig.from_pretrained(
            directory, revision=chosen.revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        if not Path(directory).is_dir():
            return None
        raise UserError(f"model: {directory} holds no usable model ({str(error).strip().splitlines()[0]})") from error
    return family_of(config, chosen.model)[0].family
