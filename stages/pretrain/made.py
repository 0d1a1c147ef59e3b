"""How a model was made: what its training stage notes for the model card, under `made` of its metrics."""

import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.core.files import sha256


@dataclass(frozen=True)
class Made:
    seconds: float  # of training, all sittings together
    documents: int
    tokens: int  # read, each as often as it was read
    steps: int
    threads: int
    machine: str
    corpus: str  # sha256 of the corpus's train.npy

    def noted(self) -> dict[str, float | int | str]:
        """For the metrics; whole seconds."""
        return {**asdict(self), "seconds": round(self.seconds)}


def made(seconds: float, documents: int, tokens: int, steps: int, threads: int, corpus: Path) -> Made:
    """Of a training on this machine with the tokens of the file `corpus`."""
    return Made(seconds, documents, tokens, steps, threads, _machine(), sha256(corpus))


def _machine() -> str:
    """The processor by the name that Linux gives it, else by its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
