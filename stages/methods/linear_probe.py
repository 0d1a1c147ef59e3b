"""A frozen encoder and the head that every method has on one: what a prefix must surpass to have done anything."""

from stages.methods.untuned import Untuned, apply
from stages.models.model import LM
from stages.params import Params

__all__ = ["FAMILIES", "READS", "TOGETHER", "apply", "build"]

FAMILIES = ("encoder",)
TOGETHER = True
READS = ()


def build(lm: LM, chosen: Params, seeds: list[int]) -> Untuned:
    return Untuned(seeds)
