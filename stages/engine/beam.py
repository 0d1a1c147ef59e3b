"""Beam search with a prefix, equal token for token to transformers' `generate` (early_stopping False).

The prompt is encoded once per sentence, then its cache is spread over the beams. Sentences are sorted
by length into batches, and a sentence leaves its batch as soon as no beam can beat what it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from stages.engine.model import FrozenLM
from stages.methods.cache import prefix_cache

_NEVER = -1e9  # what `generate` uses for impossible scores


@dataclass(frozen=True)
class Search:
    """Options of the search; a finished beam's score is its log-probability over length ** length_penalty."""

    beam: int
    length_penalty: float
    max_new_tokens: int
    end: int
    banned: tuple[int, ...] = ()


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
    mask: torch.Tensor  # [sentences, beam, cached]
    next_position: torch.Tensor  # [sentences, beam]

    def keep(self, still: torch.Tensor) -> None:
        """Let the sentences leave that are not `still` [sentences] searched."""
        self.numbers = [number for number, go in zip(self.numbers, still.tolist(), strict=True) if go]
        for name in ("tokens", "scores", "finished", "finished_scores", "mask", "next_position"):
            setattr(self, name, getattr(self, name)[still])


def _encode(lm: FrozenLM, prefix: torch.Tensor, runs: list[int], prompts: list[list[int]]) -> tuple:
    """Run the left-padded prompts once: cache, mask [rows, cached], next positions [rows], log-probabilities [rows, vocabulary]."""
    longest, length = max(map(len, prompts)), prefix.shape[4]
    ids = torch.tensor([[lm.end] * (longest - len(p)) + p for p in prompts], device=lm.device)
    real = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=lm.device)
    mask = torch.cat([real.new_ones(len(prompts), length), real], dim=1)
    positions = (length + real.cumsum(1) - 1).clamp(min=length)
    cache = prefix_cache(prefix, torch.tensor(runs, device=lm.device))
    hidden = lm.hidden(ids, mask, positions, cache)
    return cache, mask, positions[:, -1] + 1, lm.logits(hidden[:, -1]).float().log_softmax(-1)


def _advance(search: Search, state: _State, log_probs: torch.Tensor) -> torch.Tensor:
    """Choose the next token of every beam; returns the row of the cache [sentences, beam] each one continues.

    `log_probs` is [sentences, beam, vocabulary]. Beams that end, or reach the longest length, move to
    `finished` if they are among the best `beam` candidates.
    """
    sentences, beam, vocabulary = log_probs.shape
    log_probs[..., list(search.banned)] = -torch.inf
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


def _reorder(cache: DynamicCache, rows: torch.Tensor) -> None:
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys.index_select(0, rows), layer.values.index_select(0, rows)


@torch.inference_mode()
def search_batch(
    lm: FrozenLM, prefix: torch.Tensor, runs: list[int], prompts: list[list[int]], search: Search
) -> list[list[int]]:
    """The best hypothesis of each prompt, as ids without the end token.

    `prefix` is [runs, layers, 2, kv_heads, len, head_dim]; prompt `i` is decoded with the prefix of run `runs[i]`.
    """
    beam, count = search.beam, len(prompts)
    cache, mask, next_position, log_probs = _encode(lm, prefix, runs, prompts)
    rows = torch.arange(count, device=lm.device).repeat_interleave(beam)
    scores = torch.zeros(count, beam, device=lm.device)
    scores[:, 1:] = _NEVER  # all beams are equal at first: only one may speak
    state = _State(
        numbers=list(range(count)),
        tokens=torch.empty(count, beam, 0, dtype=torch.long, device=lm.device),
        scores=scores,
        finished=torch.full((count, beam, search.max_new_tokens), search.end, device=lm.device),
        finished_scores=torch.full((count, beam), _NEVER, device=lm.device),
        mask=mask[rows].view(count, beam, -1),
        next_position=next_position[rows].view(count, beam),
    )
    log_probs = log_probs[rows].view(count, beam, -1)
    _reorder(cache, rows)
    results: list[list[int]] = [[] for _ in prompts]
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
        _reorder(cache, rows.flatten())
        state.mask = torch.nn.functional.pad(state.mask, (0, 1), value=1)
        ids = state.tokens[..., -1].reshape(-1, 1)
        hidden = lm.hidden(ids, state.mask.flatten(0, 1), state.next_position.view(-1, 1), cache)
        state.next_position = state.next_position + 1
        log_probs = lm.logits(hidden[:, -1]).float().log_softmax(-1).view(len(state.numbers), beam, -1)


def beam_search(
    lm: FrozenLM,
    prefix: torch.Tensor,
    prompts: list[list[int]],
    search: Search,
    batch_size: int,
    skip: set[int] = frozenset(),
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Decode all prompts with the prefix of run 0; yields a batch's indices and hypotheses as they are done.

    Batches that hold an index of `skip` (done before an interruption) are left out whole.
    """
    for indices in batches_by_length(prompts, batch_size):
        if not skip.intersection(indices):
            yield indices, search_batch(lm, prefix, [0] * len(indices), [prompts[i] for i in indices], search)
