"""Linear probe: a frozen encoder on which only the head is trained. It is the baseline for prefixes on encoders."""

from stages.core.run_config import RunConfig
from stages.methods.none import Untuned, load
from stages.models.model import LM

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]

FAMILIES = ("encoder",)
BATCHED_RUNS = True
OPTIONS = {}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Untuned:
    """One run per seed without trainable parameters; `parts.head.build` adds the head."""
    return Untuned(seeds)
