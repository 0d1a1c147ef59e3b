"""What models that write are asked for: prefixes, and texts by beam search."""

from collections.abc import Callable, Iterator

import torch

from bench.compatibility.finding import Finding, texts
from bench.compatibility.records import MOST_NEW, PREFIX
from stages.decoding.beam import Search, search_sources
from stages.models.adaptation import Adaptation
from stages.models.batches import Example
from stages.models.model import LM, GenerativeLM


def random_prefixes(lm: LM) -> Adaptation:
    """Of two runs, in each place that the model has for one."""
    generator = torch.Generator().manual_seed(1)
    return Adaptation({
        place: torch.randn(2, shape.layers, 2, shape.kv_heads, PREFIX, shape.head_dim, generator=generator)
        for place, shape in lm.shapes.items()
    })  # fmt: skip


def search(
    lm: GenerativeLM, adaptation: Adaptation, runs: list[int], sources: list[list[int]], options: Search
) -> list[list[int]]:
    """In batches of fewer sentences than there are, so that some enter late."""
    found = dict(search_sources(lm, adaptation, runs, sources, options, 3))
    return [found[number] for number in range(len(sources))]


def written(
    lm: GenerativeLM,
    adaptation: Adaptation,
    runs: list[int],
    examples: list[Example],
    reference: Callable[[Example, int | None, Search], list[int]],
) -> Iterator[Finding]:
    """Beam 4 and greedy search against `generate`; a token that the first text holds ends some of them early.

    `reference` writes a text behind the prefix of a run, or behind none.
    """
    sources = [example.source for example in examples]
    free = search(lm, adaptation, runs, sources, Search(1, 1.0, MOST_NEW, lm.end))[0]
    early = free[min(4, len(free) - 1)] if free else lm.end
    for end, beam in ((lm.end, 4), (early, 4), (lm.end, 1)):
        options = Search(beam, 1.0, MOST_NEW, end)
        theirs = [reference(example, run, options) for example, run in zip(examples, runs, strict=True)]
        yield texts(f"beam {beam}", search(lm, adaptation, runs, sources, options), theirs)
        theirs = [reference(example, None, options) for example in examples]
        yield texts(f"beam {beam} without a prefix", search(lm, Adaptation(), runs, sources, options), theirs)
