"""Beam search, equal token for token to transformers' `generate` with the same options (no forced tokens).

A source is read once, whatever the number of beams (`caches.Beams`). A sentence leaves as soon as its result stands,
and the next one takes its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from stages.models.adaptation import Adaptation
from stages.models.model import LM

_NEVER = -1e9  # what `generate` uses for impossible scores
# Sentences enter when so much of the batch is free: reading a few at a time would cost a step each.
_FREE = 0.25
_PIECE = 8  # batches


@dataclass(frozen=True)
class Search:
    """Options of the search; a finished beam's score is its log-probability over length ** length_penalty.

    `early_stopping` True: a sentence is done with `beam` finished beams; False: when the best running beam, as if it
    ended now, is no better than the worst of them.
    """

    beam: int
    length_penalty: float
    max_new_tokens: int
    end: int
    banned: tuple[int, ...] = ()
    min_new_tokens: int = 0
    early_stopping: bool = False


@dataclass
class _Board:
    """The sentences under way; everything is [sentences, beam, ...], beams in order of score."""

    numbers: list[int]  # where each sentence's result goes
    length: torch.Tensor  # tokens generated, [sentences]
    tokens: torch.Tensor  # [sentences, beam, max_new_tokens], beyond the length padded with `end`
    scores: torch.Tensor  # log-probabilities of the running beams
    finished: torch.Tensor  # as tokens
    finished_scores: torch.Tensor

    @classmethod
    def of(cls, search: Search, numbers: list[int], device: torch.device) -> "_Board":
        size = (len(numbers), search.beam)
        scores = torch.full(size, _NEVER, device=device)
        scores[:, 0] = 0  # all beams are equal at first: only one may speak
        tokens = torch.full((*size, search.max_new_tokens), search.end, device=device)
        length = torch.zeros(len(numbers), dtype=torch.long, device=device)
        return cls(numbers, length, tokens, scores, tokens.clone(), torch.full(size, _NEVER, device=device))

    def tensors(self) -> list[torch.Tensor]:
        return [self.length, self.tokens, self.scores, self.finished, self.finished_scores]

    def joined(self, other: "_Board") -> "_Board":
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return _Board(self.numbers + other.numbers, *(torch.cat(pair) for pair in pairs))

    def kept(self, order: list[int]) -> "_Board":
        return _Board([self.numbers[i] for i in order], *(tensor[order] for tensor in self.tensors()))

    def result(self, search: Search, index: int) -> list[int]:
        ids = self.finished[index, self.finished_scores[index].argmax()].tolist()
        return ids[: ids.index(search.end)] if search.end in ids else ids


def _candidates(
    lm: LM, search: Search, hidden: torch.Tensor, length: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The 2 * beam best next tokens behind hidden states [sentences, ..., width]: log-probabilities and ids.

    Among those of all its beams are the 2 * beam best of a sentence, enough to go on if the best `beam` of them end.
    """
    log_probs = lm.logits(hidden).float().log_softmax(-1)
    log_probs[..., list(search.banned)] = -torch.inf
    if search.min_new_tokens:
        short = (length < search.min_new_tokens).view(-1, *[1] * (hidden.ndim - 2))
        log_probs[..., search.end].masked_fill_(short, -torch.inf)
    return log_probs.topk(2 * search.beam)


def _advance(search: Search, board: _Board, log_probs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Choose the next token of every beam; returns the beam [sentences, beam] that each one continues.

    `log_probs` and `ids` are candidates [sentences, beam, 2 * beam]. Beams that end, or reach the longest length,
    move to `finished` if they are among the best `beam` candidates.
    """
    beam = search.beam
    scores, best = (log_probs + board.scores[..., None]).flatten(1).topk(2 * beam)  # [sentences, 2 * beam]
    parents, next_tokens = best // (2 * beam), ids.flatten(1).take_along_dim(best, 1)
    tokens = board.tokens.take_along_dim(parents[..., None], 1)
    tokens.scatter_(2, board.length[:, None, None].expand(-1, 2 * beam, 1), next_tokens[..., None])
    board.length = board.length + 1
    ends = (next_tokens == search.end) | (board.length == search.max_new_tokens)[:, None]

    ended = torch.where(ends, scores / board.length[:, None] ** search.length_penalty, scores + _NEVER)
    ended[:, beam:] = _NEVER
    board.finished_scores, kept = torch.cat([board.finished_scores, ended], 1).topk(beam)
    board.finished = torch.cat([board.finished, tokens], 1).take_along_dim(kept[..., None], 1)

    board.scores, kept = (scores + ends * _NEVER).topk(beam)
    board.tokens = tokens.take_along_dim(kept[..., None], 1)
    return parents.take_along_dim(kept, 1)


def _open(search: Search, board: _Board) -> list[bool]:
    """Which sentences may still improve."""
    worst = board.finished_scores.min(1).values
    still = board.scores[:, 0] / board.length**search.length_penalty > worst
    if search.early_stopping or search.beam == 1:  # one beam is greedy search, which ends with the first end
        still &= worst < _NEVER / 2  # some finished beam is none yet
    return (still & (board.length < search.max_new_tokens)).tolist()


@torch.inference_mode()
def search_sources(
    lm: LM, adaptation: Adaptation, runs: list[int], sources: list[list[int]], search: Search, batch_size: int
) -> Iterator[tuple[int, list[int]]]:
    """The index of each source and its best hypothesis, as ids without the end token, as they are found.

    Source `i` is read with run `runs[i]`; sources enter in the order given, `batch_size` are under way.
    """
    memory, board = lm.memory(adaptation, search.beam), _Board.of(search, [], lm.device)
    log_probs = torch.zeros(0, search.beam, 2 * search.beam, device=lm.device)  # candidates of those under way
    ids, entered = log_probs.long(), 0
    while entered < len(sources) or board.numbers:
        free = batch_size - len(board.numbers)
        if entered < len(sources) and free >= _FREE * batch_size:
            numbers = list(range(entered, min(entered + free, len(sources))))
            entered = numbers[-1] + 1
            hidden = memory.prefill(
                [sources[i] for i in numbers], torch.tensor([runs[i] for i in numbers], device=lm.device)
            )
            new = _Board.of(search, numbers, lm.device)
            found = (part[:, None].expand(-1, search.beam, -1) for part in _candidates(lm, search, hidden, new.length))
            board, (log_probs, ids) = board.joined(new), map(torch.cat, zip((log_probs, ids), found, strict=True))
        parents = _advance(search, board, log_probs, ids)
        still = _open(search, board)
        for index, going in enumerate(still):
            if not going:
                yield board.numbers[index], board.result(search, index)
        order = _order(still)
        if len(order) < len(still):
            memory.reorder(order)
            board, parents = board.kept(order), parents[order]
        if order:
            last = board.tokens.take_along_dim((board.length - 1)[:, None, None], 2)[..., 0]  # [sentences, beam]
            log_probs, ids = _candidates(lm, search, memory.step(last, parents), board.length)
        else:
            log_probs, ids = log_probs[:0], ids[:0]


def _order(still: list[bool]) -> list[int]:
    """Which sentence each place goes on with: its own, or in the place of one that leaves one from the end."""
    staying = sum(still)
    from_the_end = (i for i in reversed(range(len(still))) if still[i])
    return [i if still[i] else next(from_the_end) for i in range(staying)]


def pieces_by_length(lengths: list[int], batch_size: int) -> list[list[int]]:
    """Indices of sources of these lengths, longest first, in pieces of several batches: what an interruption leaves whole.

    What a sentence is searched beside, and so how its numbers are rounded, then depends on no interruption.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[start : start + _PIECE * batch_size] for start in range(0, len(order), _PIECE * batch_size)]
