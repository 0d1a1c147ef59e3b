"""Beam search. Its output equals transformers' `generate` with the same options, token for token (no forced tokens).

A source is read once for all its beams (`caches.Beams`). A sentence leaves the batch as soon as its result is final,
and the next sentence takes its slot.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch

from stages.models.adaptation import Adaptation
from stages.models.model import LM, GenerativeLM

_NEVER = -1e9  # the score of impossible beams in `generate`
# New sentences enter when this share of the batch is free: reading a few at a time would cost a step each.
_FREE = 0.25
_PIECE = 8  # batches in a piece (`pieces_by_length`)


@dataclass(frozen=True)
class Search:
    """Options of the search. A finished beam's score is its log-probability (nats) / length ** length_penalty.

    - `beam`: number of beams; `end`: id of the end token.
    - `max_new_tokens` counts the end token, `min_new_tokens` does not.
    - `banned`: ids that are never generated.
    - `early_stopping`: True: a sentence is done with `beam` finished beams. False: it is done when its best running
      beam, as if it ended now, scores no better than the worst finished one.
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
    """The beams of the sentences in the batch: [sentences, beam, ...], running beams in order of score."""

    numbers: list[int]  # of each sentence, as it entered
    limit: torch.Tensor  # most tokens to generate, [sentences]
    length: torch.Tensor  # tokens generated, [sentences]
    tokens: torch.Tensor  # [sentences, beam, max_new_tokens], beyond the length padded with `end`
    scores: torch.Tensor  # log-probabilities of the running beams, [sentences, beam]
    finished: torch.Tensor  # like `tokens`
    finished_scores: torch.Tensor

    @classmethod
    def of(cls, search: Search, numbers: list[int], limits: list[int], device: torch.device) -> "_Board":
        """The board of sentences that have been read and have no target token yet."""
        size = (len(numbers), search.beam)
        scores = torch.full(size, _NEVER, device=device)
        scores[:, 0] = 0  # the beams are equal at first: only one may continue
        tokens = torch.full((*size, search.max_new_tokens), search.end, device=device)
        length = torch.zeros(len(numbers), dtype=torch.long, device=device)
        limit = torch.tensor(limits, dtype=torch.long, device=device)
        return cls(numbers, limit, length, tokens, scores, tokens.clone(), torch.full(size, _NEVER, device=device))

    def tensors(self) -> list[torch.Tensor]:
        """The tensors in the order of the fields."""
        return [self.limit, self.length, self.tokens, self.scores, self.finished, self.finished_scores]

    def joined(self, other: "_Board") -> "_Board":
        """The sentences of this board, then those of the other."""
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return _Board(self.numbers + other.numbers, *(torch.cat(pair) for pair in pairs))

    def kept(self, order: list[int]) -> "_Board":
        """The sentences at the indices `order`, in that order."""
        return _Board([self.numbers[i] for i in order], *(tensor[order] for tensor in self.tensors()))

    def result(self, search: Search, index: int) -> list[list[int]]:
        """The finished beams of a sentence, the best one first, as ids without the end token."""
        order = self.finished_scores[index].argsort(descending=True, stable=True)
        most = max(1, int((self.finished_scores[index] > _NEVER / 2).sum()))  # the others have not been filled
        found = self.finished[index, order[:most]].tolist()
        return [ids[: ids.index(search.end)] if search.end in ids else ids for ids in found]


def _candidates(
    lm: LM, search: Search, hidden: torch.Tensor, length: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The 2 * beam best next tokens after hidden states [sentences, ..., width]: log-probabilities and ids, [..., 2 *
    beam].

    The best 2 * beam of a sentence are among those of all its beams: enough to continue if the best `beam` of them
    end.
    """
    log_probs = lm.logits(hidden).float().log_softmax(-1)
    log_probs[..., list(search.banned)] = -torch.inf
    if search.min_new_tokens:
        short = (length < search.min_new_tokens).view(-1, *[1] * (hidden.ndim - 2))  # [sentences] -> [sentences, 1 ...]
        log_probs[..., search.end].masked_fill_(short, -torch.inf)
    return log_probs.topk(2 * search.beam)


def _advance(search: Search, board: _Board, log_probs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Choose the next token of every beam. Returns the beam that each one continues, [sentences, beam].

    `log_probs` and `ids` are candidates [sentences, beam, 2 * beam]. A beam that ends or reaches the sentence's limit
    moves to `finished` if it is among the best `beam` candidates.
    """
    beam = search.beam
    scores, best = (log_probs + board.scores[..., None]).flatten(1).topk(2 * beam)  # [sentences, 2 * beam]
    parents, next_tokens = best // (2 * beam), ids.flatten(1).take_along_dim(best, 1)  # [sentences, 2 * beam]
    tokens = board.tokens.take_along_dim(parents[..., None], 1)  # [sentences, 2 * beam, max_new_tokens]
    # writes each next token at the sentence's current length
    tokens.scatter_(2, board.length[:, None, None].expand(-1, 2 * beam, 1), next_tokens[..., None])
    board.length = board.length + 1
    ends = (next_tokens == search.end) | (board.length == board.limit)[:, None]

    ended = torch.where(ends, scores / board.length[:, None] ** search.length_penalty, scores + _NEVER)
    ended[:, beam:] = _NEVER
    board.finished_scores, kept = torch.cat([board.finished_scores, ended], 1).topk(beam)
    # [sentences, beam, max_new_tokens]
    board.finished = torch.cat([board.finished, tokens], 1).take_along_dim(kept[..., None], 1)

    board.scores, kept = (scores + ends * _NEVER).topk(beam)
    board.tokens = tokens.take_along_dim(kept[..., None], 1)  # [sentences, beam, max_new_tokens]
    return parents.take_along_dim(kept, 1)  # [sentences, 2 * beam] -> [sentences, beam]


def _open(search: Search, board: _Board) -> list[bool]:
    """Whether each sentence may still improve, in the order of the slots."""
    worst = board.finished_scores.min(1).values
    still = board.scores[:, 0] / board.length**search.length_penalty > worst
    if search.early_stopping or search.beam == 1:  # one beam is greedy search, which ends with the first end
        still &= worst < _NEVER / 2  # fewer than `beam` are finished
    return (still & (board.length < board.limit)).tolist()


class BeamSearch:
    """A beam search whose sentences may enter and leave at any step. Its result for a sentence is that of it alone."""

    def __init__(self, lm: GenerativeLM, adaptation: Adaptation, search: Search):
        self.lm, self.search = lm, search
        self.memory = lm.memory(adaptation, search.beam)
        self.board = _Board.of(search, [], [], lm.device)
        # candidates of the sentences in the batch, [sentences, beam, 2 * beam] each
        self.log_probs = torch.zeros(0, search.beam, 2 * search.beam, device=lm.device)
        self.ids = self.log_probs.long()

    def __len__(self) -> int:
        """How many sentences are in the batch."""
        return len(self.board.numbers)

    @torch.inference_mode()
    def enter(
        self,
        numbers: list[int],
        sources: list[list[int]],
        runs: list[int],
        adaptation: Adaptation | None = None,
        limits: list[int] | None = None,
    ) -> None:
        """Read sources (ids) into the batch. `numbers` name their sentences; source `i` is read with run `runs[i]`.

        `adaptation`: another one for these sources (see `DecodingState.prefill`). `limits`: the most tokens of each
        sentence, at most `max_new_tokens`, which they all have without it.
        """
        beam = self.search.beam
        hidden = self.memory.prefill(sources, torch.tensor(runs, device=self.lm.device), adaptation)
        limits = [self.search.max_new_tokens] * len(numbers) if limits is None else limits
        new = _Board.of(self.search, numbers, limits, self.lm.device)
        # [sentences, 2 * beam] -> [sentences, beam, 2 * beam]
        found = (part[:, None].expand(-1, beam, -1) for part in _candidates(self.lm, self.search, hidden, new.length))
        self.board = self.board.joined(new)
        self.log_probs, self.ids = map(torch.cat, zip((self.log_probs, self.ids), found, strict=True))

    @torch.inference_mode()
    def step(self) -> list[tuple[int, list[list[int]]]]:
        """Generate a token of each beam. Returns the sentences that are done, which leave: number and hypotheses (ids
        without the end token), the best one first."""
        parents = _advance(self.search, self.board, self.log_probs, self.ids)
        still = _open(self.search, self.board)
        done = [
            (self.board.numbers[index], self.board.result(self.search, index))
            for index, going in enumerate(still)
            if not going
        ]
        parents = parents[self._keep(still)]
        if self.board.numbers:
            last = self.board.tokens.take_along_dim((self.board.length - 1)[:, None, None], 2)[..., 0]
            hidden = self.memory.step(last, parents)  # last: [sentences, beam]
            self.log_probs, self.ids = _candidates(self.lm, self.search, hidden, self.board.length)
        else:
            self.log_probs, self.ids = self.log_probs[:0], self.ids[:0]
        return done

    @torch.inference_mode()
    def drop(self, numbers: Collection[int]) -> None:
        """Give up the sentences with these numbers."""
        order = self._keep([number not in numbers for number in self.board.numbers])
        self.log_probs, self.ids = self.log_probs[order], self.ids[order]

    def _keep(self, still: list[bool]) -> list[int]:
        """Drop the other sentences; returns the old slot of the sentence in each slot."""
        order = kept_slots(still)
        if len(order) < len(still):
            self.memory.reorder(order)
            self.board = self.board.kept(order)
        return order


def search_sources(
    lm: GenerativeLM, adaptation: Adaptation, runs: list[int], sources: list[list[int]], search: Search, batch_size: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield the index of each source and its best hypothesis (ids without the end token), as they are found.

    Source `i` is read with run `runs[i]` of the adaptation. Sources enter in the given order, at most `batch_size` at
    a time.
    """
    batch, entered = BeamSearch(lm, adaptation, search), 0
    while entered < len(sources) or len(batch):
        free = batch_size - len(batch)
        if entered < len(sources) and free >= _FREE * batch_size:
            numbers = list(range(entered, min(entered + free, len(sources))))
            entered = numbers[-1] + 1
            batch.enter(numbers, [sources[i] for i in numbers], [runs[i] for i in numbers])
        yield from ((number, found[0]) for number, found in batch.step())


def kept_slots(still: list[bool]) -> list[int]:
    """The old slot of the sentence in each new slot. A sentence from the end takes the slot of one that leaves."""
    staying = sum(still)
    from_the_end = (i for i in reversed(range(len(still))) if still[i])
    return [i if still[i] else next(from_the_end) for i in range(staying)]


def pieces_by_length(lengths: list[int], batch_size: int) -> list[list[int]]:
    """Indices of sources with these lengths, longest first, in pieces of several batches.

    Decoding is resumed at a piece, never within one: so an interruption does not change which sentences share a batch,
    and hence how their numbers are rounded.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[start : start + _PIECE * batch_size] for start in range(0, len(order), _PIECE * batch_size)]
