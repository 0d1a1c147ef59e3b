"""Beam search, equal token for token to transformers' `generate` (early_stopping False, no forced tokens).

The source is read once per sentence, then what the model remembers is spread over the beams. Sentences are
sorted by length into batches, and a sentence leaves its batch as soon as no beam can beat what it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from stages.engine.model import LM
from stages.engine.steering import Steering

_NEVER = -1e9  # what `generate` uses for impossible scores


@dataclass(frozen=True)
class Search:
    """Options of the search; a finished beam's score is its log-probability over length ** length_penalty."""

    beam: int
    length_penalty: float
    max_new_tokens: int
    end: int
    banned: tuple[int, ...] = ()
    min_new_tokens: int = 0


def batches_by_length(prompts: list[list[int]], batch_size: int) -> list[list[int]]:
    """Indices of prompts, longest first, in batches."""
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@dataclass
class _State:
    """The sentences still searched; everything is [sentences, beam, ...], beams in order of score."""

    numbers: list[int]  # where each sentence's result goes
    tokens: torch.Tensor  # [sentences, beam, generated]
    scores: torch.Tensor  # log-probabilities of the running beams
    finished: torch.Tensor  # [sentences, beam, max_new_tokens] padded with `end`
    finished_scores: torch.Tensor

    def keep(self, still: torch.Tensor) -> None:
        """Let the sentences leave that are not `still` [sentences] searched."""
        self.numbers = [number for number, go in zip(self.numbers, still.tolist(), strict=True) if go]
        for name in ("tokens", "scores", "finished", "finished_scores"):
            setattr(self, name, getattr(self, name)[still])


def _advance(search: Search, state: _State, log_probs: torch.Tensor) -> torch.Tensor:
    """Choose the next token of every beam; returns the row [sentences, beam] that each one continues.

    `log_probs` is [sentences, beam, vocabulary]. Beams that end, or reach the longest length, move to
    `finished` if they are among the best `beam` candidates.
    """
    sentences, beam, vocabulary = log_probs.shape
    log_probs[..., list(search.banned)] = -torch.inf
    if state.tokens.shape[2] < search.min_new_tokens:
        log_probs[..., search.end] = -torch.inf
    total = (log_probs + state.scores[..., None]).flatten(1)
    scores, flat = total.topk(2 * beam)  # [sentences, 2 * beam]: enough to go on if the best `beam` of them end
    parents, next_tokens = flat // vocabulary, flat % vocabulary
    tokens = torch.cat([state.tokens.take_along_dim(parents[..., None], 1), next_tokens[..., None]], dim=2)
    length = tokens.shape[2]
    ends = (next_tokens == search.end) | (length == search.max_new_tokens)

    ended = torch.where(ends, scores / length**search.length_penalty, scores + _NEVER)
    ended[:, beam:] = _NEVER
    padded = torch.nn.functional.pad(tokens, (0, search.max_new_tokens - length), value=search.end)
    state.finished_scores, kept = torch.cat([state.finished_scores, ended], 1).topk(beam)
    state.finished = torch.cat([state.finished, padded], 1).take_along_dim(kept[..., None], 1)

    state.scores, kept = (scores + ends * _NEVER).topk(beam)
    state.tokens = tokens.take_along_dim(kept[..., None], 1)
    first = torch.arange(sentences, device=flat.device)[:, None] * beam
    return first + parents.take_along_dim(kept, 1)


def _open(search: Search, state: _State) -> torch.Tensor:
    """Which sentences [sentences] may still improve: the best running beam against the worst finished one."""
    length = state.tokens.shape[2]
    if length == search.max_new_tokens:
        return torch.zeros_like(state.scores[:, 0], dtype=torch.bool)
    possible = state.scores[:, 0] / length**search.length_penalty
    return possible > state.finished_scores.min(1).values


@torch.inference_mode()
def search_batch(
    lm: LM, steering: Steering, runs: list[int], sources: list[list[int]], search: Search
) -> list[list[int]]:
    """The best hypothesis of each source, as ids without the end token; source `i` is read with run `runs[i]`."""
    beam, count = search.beam, len(sources)
    continuation, hidden = lm.open(sources, steering, torch.tensor(runs, device=lm.device))
    rows = torch.arange(count, device=lm.device).repeat_interleave(beam)
    scores = torch.zeros(count, beam, device=lm.device)
    scores[:, 1:] = _NEVER  # all beams are equal at first: only one may speak
    state = _State(
        numbers=list(range(count)),
        tokens=torch.empty(count, beam, 0, dtype=torch.long, device=lm.device),
        scores=scores,
        finished=torch.full((count, beam, search.max_new_tokens), search.end, device=lm.device),
        finished_scores=torch.full((count, beam), _NEVER, device=lm.device),
    )
    continuation.select(rows)
    log_probs = lm.logits(hidden).float().log_softmax(-1)[rows].view(count, beam, -1)
    results: list[list[int]] = [[] for _ in sources]
    while True:
        rows = _advance(search, state, log_probs)
        still = _open(search, state)
        for index in (~still).nonzero()[:, 0].tolist():
            ids = state.finished[index, state.finished_scores[index].argmax()].tolist()
            results[state.numbers[index]] = ids[: ids.index(search.end)] if search.end in ids else ids
        if not still.any():
            return results
        if not still.all():
            state.keep(still)
            rows = rows[still]
        continuation.select(rows.flatten())
        hidden = continuation.step(state.tokens[..., -1].flatten())
        log_probs = lm.logits(hidden).float().log_softmax(-1).view(len(state.numbers), beam, -1)


def beam_search(
    lm: LM,
    steering: Steering,
    sources: list[list[int]],
    search: Search,
    batch_size: int,
    skip: set[int] = frozenset(),
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Decode all sources with run 0; yields a batch's indices and hypotheses as they are done.

    Batches that hold an index of `skip` (done before an interruption) are left out whole.
    """
    for indices in batches_by_length(sources, batch_size):
        if not skip.intersection(indices):
            yield indices, search_batch(lm, steering, [0] * len(indices), [sources[i] for i in indices], search)
