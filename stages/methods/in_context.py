"""In-context learning: the frozen model reads an instruction and worked examples of the run's own training data before
each source.

Nothing is trained. What is saved are the token ids of that text; the keys and values that the model computes for them
are a prefix, so that the text is read once and not before each source.
"""

from collections.abc import Iterable
from itertools import chain, islice
from typing import Self

import torch
from pydantic import model_validator

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import FILE, Section, Text, Whole
from stages.methods.parts.worked_examples import worked_examples
from stages.models.adaptation import DECODER, Adaptation
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.training.method import Method

FAMILIES = ("decoder-only",)
BATCHED_RUNS = False  # the texts of runs differ in length
UNTRAINED = True
_IDS = "ids"


class Options(Section):
    """The section `methods.in_context`. `instruction`: the text before all; `examples`: how many are shown."""

    instruction: Text | None
    examples: Whole

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.instruction is None and not self.examples:
            raise ValueError("there is no instruction and examples is 0: give one of them")
        return self


OPTIONS = {"in_context": Options}


class InContext(Method):
    """The text before the sources of one run: `ids`, which `init_from_data` sets."""

    def __init__(self, lm: DecoderOnly, options: Options, seeds: list[int]):
        """`seeds`: that of the one run. Until `init_from_data`, there is no text."""
        super().__init__(seeds)
        self.lm, self.options = lm, options
        self.ids: list[int] = []

    def init_from_data(self, samples: Iterable[Examples]) -> None:
        """See `Method.init_from_data`. The seed of the run chooses the examples and their order.

        Raises UserError if the run has too few examples, or if a training example would not fit after the text.
        """
        [sample], [seed], count = samples, self.seeds, self.options.examples
        if count > len(sample):
            raise UserError(
                f"{FILE}: methods.in_context.examples is {count}, but the run has {len(sample)} training examples"
            )
        chosen = islice(worked_examples(self.lm, sample, seed), count)
        self.ids = [*self._instruction(), *chain.from_iterable(chosen)]
        longest, positions = int(sample.lengths.sum(1).max()), self.lm.positions
        if positions is not None and len(self.ids) + longest > positions:
            raise UserError(
                f"{FILE}: the text of in_context has {len(self.ids)} tokens, the longest training example {longest}: "
                f"together they exceed the {positions} positions of {self.lm.name}: lower methods.in_context.examples"
            )

    def _instruction(self) -> list[int]:
        """The ids of the instruction, as the beginning of a source, without the begin token."""
        if self.options.instruction is None:
            return []
        return self.lm.source_ids([self.options.instruction], None)[0][len(self.lm.begin) :]

    def forward(self, step: int | None = None) -> Adaptation:
        """The keys and values of the text, as `load` gives them."""
        return load(self.lm, self.state())

    def state(self) -> dict[str, torch.Tensor]:
        """`ids` [1, len], 32-bit: the token ids of the text without the begin token."""
        return {_IDS: torch.tensor([self.ids], dtype=torch.int32, device=self.lm.device)}


def build(lm: DecoderOnly, config: RunConfig, seeds: list[int]) -> InContext:
    """A run of `methods.in_context`; its text is put together in `init_from_data`."""
    return InContext(lm, config.options["in_context"], seeds)


def load(lm: DecoderOnly, state: dict[str, torch.Tensor]) -> Adaptation:
    """The prefix that the model computes for the text, `ids` [1, len]."""
    with torch.no_grad():
        return Adaptation({DECODER: lm.cache_of(state[_IDS].long())})
