"""Beam search: `stages.decoding.beam` beside transformers' `generate`, in the same order of the sources.

A decoder-only model has a prefix (PEFT's `generate`); an encoder-decoder model has none: PEFT puts them elsewhere.
"""

from itertools import chain

import torch

from bench import peer
from bench.inputs import SEED, Ids, clock
from bench.training import HIDDEN, opened
from stages.decoding.beam import Search, pieces_by_length, search_sources
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.models.linear import pack
from stages.models.model import LM
from stages.training.step import target_losses

BEAM, NEW, LENGTH = 5, 40, 10


def adaptation_of(lm: LM) -> Adaptation:
    return Adaptation(Prefix(lm, LENGTH, HIDDEN, [SEED]).state()) if isinstance(lm, DecoderOnly) else Adaptation()


def in_order(ids: Ids, count: int, batch_size: int) -> list[list[list[int]]]:
    """Of the first so many sources, longest first, in pieces as `stages.decode` searches them."""
    sources = ids.test[:count]
    return [[sources[i] for i in piece] for piece in pieces_by_length([len(source) for source in sources], batch_size)]


def ours(home: str, name: str, count: int, batch_size: int, bf16: bool) -> dict:
    lm, ids = opened(home, name), Ids(home, name)
    adaptation = adaptation_of(lm)
    if bf16:
        lm.compute_in(torch.bfloat16)
    pack(lm.model)

    def search(sources: list[list[int]], new: int) -> list[list[int]]:
        options = Search(BEAM, 1.0, new, ids.end)
        found = dict(search_sources(lm, adaptation, [0] * len(sources), sources, options, batch_size))
        return [found[number] for number in range(len(sources))]

    pieces = in_order(ids, count, batch_size)
    search(pieces[0][:2], 2)  # warm-up
    began = clock()
    found = [best for piece in pieces for best in search(piece, NEW)]
    return {"seconds": clock() - began, "sources": list(chain.from_iterable(pieces)), "found": found}


def theirs(home: str, name: str, count: int, batch_size: int, bf16: bool) -> dict:
    model, ids = peer.base(home, name, torch.bfloat16 if bf16 else torch.float32), Ids(home, name)
    if not model.config.is_encoder_decoder:
        model = peer.prefixed(model, LENGTH, None)
        peer.hold(model, HIDDEN, SEED)
    sources = [source for piece in in_order(ids, count, batch_size) for source in piece]
    peer.generate(model, sources[:2], ids, batch_size, BEAM, 2)
    began = clock()
    found = peer.generate(model, sources, ids, batch_size, BEAM, NEW)
    return {"seconds": clock() - began, "sources": sources, "found": found}


@torch.no_grad()
def scores(home: str, name: str, triples: list[tuple[list[int], list[int], list[int]]]) -> dict:
    """Of (source, hypothesis, another): what fp32 says by how much the first is the better, per token."""
    lm, ids = opened(home, name), Ids(home, name)
    adaptation, better = adaptation_of(lm), []
    for source, *pair in triples:
        whole = [found if len(found) == NEW else [*found, ids.end] for found in pair]
        sums, counts = target_losses(
            lm, adaptation, Batch.of([Example(source, one) for one in whole], [0, 0], lm.device)
        )
        ours, other = (sums / counts).tolist()
        better.append(other - ours)
    return {"better_by": better}
