"""Greedy search and sampling, a token at a time, for sentences that enter and leave at any step.

Each sentence has its own options and its own random numbers: its result does not depend on the others beyond rounding.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from stages.decoding.beam import kept_slots
from stages.models.adaptation import Adaptation
from stages.models.model import GenerativeLM


@dataclass(frozen=True)
class Sampling:
    """How the next token of a sentence is chosen.

    - `temperature`: 0: the most probable token (greedy search). Else the logits are divided by it, and a token is drawn.
    - `top_p`: drawn from the most probable tokens whose probabilities add up to this much (Holtzman et al. 2020).
    - `seed`: of the sentence's random numbers.
    - `max_new_tokens` counts the end token, `min_new_tokens` does not.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    min_new_tokens: int = 0


@dataclass(frozen=True)
class Token:
    """A token of a sentence. `done`: it is the last one, `end` for the end token, `length` for the limit; None: not."""

    number: int
    id: int
    done: str | None


class _Sentence:
    """A sentence in the batch: its number, its options, its random numbers, and how many tokens it has."""

    def __init__(self, number: int, options: Sampling):
        self.number, self.options, self.length = number, options, 0
        self.generator = torch.Generator().manual_seed(options.seed)


class SamplingBatch:
    """Sentences that are generated a token at a time."""

    def __init__(self, lm: GenerativeLM, adaptation: Adaptation, banned: Collection[int] = ()):
        """`banned` are ids that are never generated."""
        self.lm, self.banned = lm, list(banned)
        self.memory = lm.memory(adaptation, 1)
        self.sentences: list[_Sentence] = []
        self.hidden = torch.zeros(0, lm.width, device=lm.device)  # predicts the next token of each, [sentences, width]

    def __len__(self) -> int:
        """How many sentences are in the batch."""
        return len(self.sentences)

    @torch.inference_mode()
    def enter(
        self,
        numbers: list[int],
        sources: list[list[int]],
        runs: list[int],
        options: list[Sampling],
        adaptation: Adaptation | None = None,
    ) -> None:
        """Read sources (ids) into the batch. `numbers` name their sentences; source `i` is read with run `runs[i]`.

        `adaptation`: another one for these sources (see `DecodingState.prefill`).
        """
        hidden = self.memory.prefill(sources, torch.tensor(runs, device=self.lm.device), adaptation)
        self.hidden = torch.cat([self.hidden.to(hidden.dtype), hidden])
        self.sentences += [_Sentence(number, one) for number, one in zip(numbers, options, strict=True)]

    @torch.inference_mode()
    def step(self) -> list[Token]:
        """Generate a token of each sentence, in their order. Sentences that are done leave."""
        found = self._next(self.lm.logits(self.hidden).float())
        still = [token.done is None for token in found]
        order = self._keep(still)
        if order:
            last = torch.tensor([[found[slot].id] for slot in order], device=self.lm.device)  # [sentences, 1]
            self.hidden = self.memory.step(last, torch.zeros_like(last))[:, 0]
        return found

    @torch.inference_mode()
    def drop(self, numbers: Collection[int]) -> None:
        """Give up the sentences with these numbers."""
        self._keep([sentence.number not in numbers for sentence in self.sentences])

    def _keep(self, still: list[bool]) -> list[int]:
        order = kept_slots(still)
        if len(order) < len(still):
            self.memory.reorder(order)
            self.sentences, self.hidden = [self.sentences[slot] for slot in order], self.hidden[order]
        return order

    def _next(self, logits: torch.Tensor) -> list[Token]:
        """The next token of each sentence from its logits [sentences, vocabulary]."""
        logits[:, self.banned] = -torch.inf
        early = [slot for slot, one in enumerate(self.sentences) if one.length < one.options.min_new_tokens]
        logits[early, self.lm.end] = -torch.inf
        best, found = logits.argmax(-1).tolist(), []
        for slot, sentence in enumerate(self.sentences):
            options = sentence.options
            chosen = best[slot] if options.temperature == 0 else drawn(logits[slot].cpu(), options, sentence.generator)
            sentence.length += 1
            full = "length" if sentence.length == options.max_new_tokens else None
            found.append(Token(sentence.number, chosen, "end" if chosen == self.lm.end else full))
        return found


def drawn(logits: torch.Tensor, options: Sampling, generator: torch.Generator) -> int:
    """A token drawn from logits [vocabulary] at the temperature, among the most probable ones (`top_p`)."""
    probabilities = (logits / options.temperature).softmax(-1)
    if options.top_p < 1:
        ordered, ids = probabilities.sort(descending=True, stable=True)
        # A token counts if those before it do not have enough: the first always does.
        ordered[ordered.cumsum(-1) - ordered >= options.top_p] = 0
        return int(ids[torch.multinomial(ordered, 1, generator=generator)])
    return int(torch.multinomial(probabilities, 1, generator=generator))
