"""A frozen encoder and the head that every method has on one: what a prefix must surpass to have done anything."""

from stages.core.run_config import RunConfig
from stages.methods.none import Untuned, load
from stages.models.model import LM

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]

FAMILIES = ("encoder",)
BATCHED_RUNS = True
OPTIONS = {}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> Untuned:
    return Untuned(seeds)
