"""Beam search: `stages.decoding.beam` beside transformers' `generate`, in the same order of the sources.

A decoder-only model has a prefix (PEFT's `generate`); an encoder-decoder model has none: PEFT puts them elsewhere.
"""

from collections import Counter
from itertools import chain

import torch

from bench import limits, peer
from bench.inputs import SEED, Ids, clock, start_of
from bench.training import HIDDEN, begin_from, opened
from stages.decoding.beam import Search, pieces_by_length, search_sources
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.models.linear import pack
from stages.models.model import LM, DecodingState
from stages.training.step import target_losses

BEAM, NEW, LENGTH = 5, 40, 10


def adaptation_of(home: str, lm: LM) -> Adaptation:
    if not isinstance(lm, DecoderOnly):
        return Adaptation()
    start = start_of(home, lm.name, LENGTH)
    prefix = Prefix(lm, LENGTH, HIDDEN if start is None else None, [SEED])
    if start is not None:
        begin_from(prefix, start)
    return Adaptation(prefix.state())


def in_order(ids: Ids, count: int, batch_size: int) -> list[list[list[int]]]:
    """Of the first so many sources, longest first, in pieces as `stages.decode` searches them."""
    sources = ids.test[:count]
    return [[sources[i] for i in piece] for piece in pieces_by_length([len(source) for source in sources], batch_size)]


class Counted(DecodingState):
    """A decoding state that counts the rows of its steps."""

    def __init__(self, state: DecodingState, steps: Counter):
        self.state, self.steps = state, steps

    def prefill(self, sources: list[list[int]], runs: torch.Tensor, *adaptation: Adaptation | None) -> torch.Tensor:
        return self.state.prefill(sources, runs, *adaptation)

    def step(self, tokens: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        self.steps[tokens.numel()] += 1
        return self.state.step(tokens, parents)

    def reorder(self, order: list[int]) -> None:
        self.state.reorder(order)


def ours(home: str, name: str, count: int, batch_size: int, bf16: bool, rates: dict) -> dict:
    lm, ids, steps = opened(home, name), Ids(home, name), Counter()
    size = limits.Size.of(lm)
    adaptation = adaptation_of(home, lm)
    if bf16:
        lm.compute_in(torch.bfloat16)
    pack(lm.model)

    def search(sources: list[list[int]], new: int) -> list[list[int]]:
        options = Search(BEAM, 1.0, new, ids.end)
        found = dict(search_sources(lm, adaptation, [0] * len(sources), sources, options, batch_size))
        return [found[number] for number in range(len(sources))]

    pieces = in_order(ids, count, batch_size)
    search(pieces[0][:2], 2)  # warm-up
    memory, lm.memory = lm.memory, lambda *arguments: Counted(memory(*arguments), steps)
    began = clock()
    found = [best for piece in pieces for best in search(piece, NEW)]
    seconds = clock() - began
    sources = list(chain.from_iterable(pieces))
    limit = limits.decoding(size, rates, sum(map(len, sources)), steps, bf16)
    return {"seconds": seconds, "limit": limit, "sources": sources, "found": found}


def theirs(home: str, name: str, count: int, batch_size: int, bf16: bool) -> dict:
    model, ids = peer.base(home, name, torch.bfloat16 if bf16 else torch.float32), Ids(home, name)
    if not model.config.is_encoder_decoder:
        model, start = peer.prefixed(model, LENGTH, None), start_of(home, name, LENGTH)
        peer.hold(model, HIDDEN, SEED) if start is None else peer.begin_from(model, start)
    sources = [source for piece in in_order(ids, count, batch_size) for source in piece]
    peer.generate(model, sources[:2], ids, batch_size, BEAM, 2)
    began = clock()
    found = peer.generate(model, sources, ids, batch_size, BEAM, NEW)
    return {"seconds": clock() - began, "sources": sources, "found": found}


@torch.no_grad()
def scores(home: str, name: str, triples: list[tuple[list[int], list[int], list[int]]]) -> dict:
    """Of (source, hypothesis, another): what fp32 says by how much the first is the better, per token."""
    lm, ids = opened(home, name), Ids(home, name)
    adaptation, better = adaptation_of(home, lm), []
    for source, *pair in triples:
        whole = [found if len(found) == NEW else [*found, ids.end] for found in pair]
        sums, counts = target_losses(
            lm, adaptation, Batch.of([Example(source, one) for one in whole], [0, 0], lm.device)
        )
        ours, other = (sums / counts).tolist()
        better.append(other - ours)
    return {"better_by": better}
