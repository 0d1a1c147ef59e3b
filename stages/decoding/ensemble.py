"""Prompt ensembling (Lester et al. 2021, section 6): N runs answer each source in one batch; `vote.py` counts votes."""

from collections.abc import Iterator

from stages.decoding.beam import Search, search_sources
from stages.models.adaptation import Adaptation
from stages.models.model import GenerativeLM


def search_runs(
    lm: GenerativeLM, adaptation: Adaptation, runs: int, sources: list[list[int]], search: Search, batch_size: int
) -> Iterator[tuple[int, int, list[int]]]:
    """Yield the index of a source, the run, and its best hypothesis (ids without the end token), as they are found.

    Each source is in the batches once per run; `batch_size` counts rows, one per source and run.
    """
    tiled = [source for source in sources for _ in range(runs)]
    for row, ids in search_sources(lm, adaptation, list(range(runs)) * len(sources), tiled, search, batch_size):
        yield row // runs, row % runs, ids
