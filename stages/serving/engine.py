"""Continuous batching: requests for different prefixes enter and leave the batch that is under way.

A batch is a beam search of one kind (beams, length penalty, ...), or greedy search and sampling. All of them take turns
on the same model, a step each.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from stages.core.errors import UserError
from stages.decoding.beam import BeamSearch, Search
from stages.decoding.sampling import Sampling, SamplingBatch
from stages.models.adaptation import Adaptation
from stages.models.model import GenerativeLM
from stages.serving.ahead import Ahead
from stages.serving.bank import PrefixBank

# New sentences enter when this share of the rows is free, or when all that wait find room.
_FREE = 0.25


@dataclass(frozen=True)
class Request:
    """A text to write: `model` names a prefix of the bank, or the base model; `prompt` is the source, as in training.

    `options` say how it is decoded: `Search` by beams, `Sampling` greedily or at random.
    """

    model: str
    prompt: str
    options: Search | Sampling


@dataclass(frozen=True)
class Event:
    """What happened to a request: `tokens` that are new, and `done`, why it is (`end`, `length`), or None.

    A beam search has one event, with all tokens of the best hypothesis; `others` has its further ones, in order. The
    end token is never among them.
    """

    number: int
    tokens: list[int]
    done: str | None
    others: tuple[list[int], ...] = ()


@dataclass(frozen=True)
class _Waiting:
    number: int
    request: Request
    source: list[int]
    adaptation: Adaptation  # loaded when it was asked for: an entry that is replaced or deleted since changes nothing

    @property
    def rows(self) -> int:
        return rows_of(self.request.options)


def rows_of(options: Search | Sampling) -> int:
    """How many rows of the batch a request takes: one for each beam."""
    return options.beam if isinstance(options, Search) else 1


class Engine:
    """The requests of one model, waiting and under way."""

    def __init__(
        self, lm: GenerativeLM, bank: PrefixBank, most_rows: int, most_tokens: int, banned: tuple[int, ...] = ()
    ):
        """`most_rows` bounds the rows of all batches together, `most_tokens` the tokens of a text; `banned` are ids
        that sampling never generates."""
        self.lm, self.bank, self.most_rows, self.most_tokens = lm, bank, most_rows, most_tokens
        self.waiting: deque[_Waiting] = deque()
        self.base = Adaptation()
        self.sampling = SamplingBatch(lm, self.base, banned)
        self.searches: dict[Search, BeamSearch] = {}
        self.limits: dict[int, int] = {}  # the most tokens of each request in a beam search, by number
        self.count = 0

    @property
    def rows(self) -> int:
        """How many rows are under way."""
        return len(self.sampling) + sum(len(batch) * search.beam for search, batch in self.searches.items())

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting) or self.rows > 0

    def submit(self, request: Request) -> int:
        """Queue a request and return its number.

        Raises UserError for a model that is neither in the bank nor the base model, for an entry that is damaged, for
        a text that does not fit the model, and for more beams than rows.
        """
        adaptation = self.base if request.model == self.lm.name else self.bank.get(request.model)
        [source] = self.lm.source_ids([request.prompt], None)
        room = self.lm.num_virtual_tokens(adaptation)
        self.lm.check_max_length(len(source), request.options.max_new_tokens, room)
        rows, tokens = rows_of(request.options), request.options.max_new_tokens
        if rows > self.most_rows:
            raise UserError(f"{rows} beams are more than the {self.most_rows} rows of the batch")
        if tokens > self.most_tokens:
            raise UserError(f"{tokens} tokens are more than the {self.most_tokens} that a text may have here")
        self.count += 1
        self.waiting.append(_Waiting(self.count, request, source, adaptation))
        return self.count

    def cancel(self, number: int) -> None:
        """Forget a request. Nothing happens if it is done."""
        self.waiting = deque(one for one in self.waiting if one.number != number)
        self.sampling.drop({number})
        self.limits.pop(number, None)
        for batch in self.searches.values():
            batch.drop({number})
        self._tidy()

    def step(self) -> list[Event]:
        """Let requests enter that find room, and generate a token of each that is under way."""
        self._enter()
        events = []
        if len(self.sampling):
            for token in self.sampling.step():
                events.append(Event(token.number, [] if token.done == "end" else [token.id], token.done))
        for batch in self.searches.values():
            for number, (best, *others) in batch.step():
                reason = reason_of(best, self.limits.pop(number))
                events.append(Event(number, best, reason, tuple(others)))
        self._tidy()
        return events

    def _tidy(self) -> None:
        self.searches = {search: batch for search, batch in self.searches.items() if len(batch)}

    def _enter(self) -> None:
        free, total = self.most_rows - self.rows, sum(one.rows for one in self.waiting)
        if not total or (self.rows and free < min(total, _FREE * self.most_rows)):
            return
        groups: dict[tuple, list[_Waiting]] = {}
        while self.waiting and self.waiting[0].rows <= free:
            one = self.waiting.popleft()
            free -= one.rows
            groups.setdefault((self._batch_of(one.request.options), kind_of(one.adaptation)), []).append(one)
        for (search, _), members in groups.items():
            self._read(search, members)

    def _read(self, search: Search | None, members: list[_Waiting]) -> None:
        """Read the sources of requests of one kind into their batch."""
        distinct = list({id(one.adaptation): one.adaptation for one in members}.values())
        place = {id(adaptation): index for index, adaptation in enumerate(distinct)}
        joined = distinct[0] if len(distinct) == 1 else Adaptation.joined(distinct)
        numbers, sources = [one.number for one in members], [one.source for one in members]
        runs = [place[id(one.adaptation)] for one in members]
        if search is None:
            self.sampling.enter(numbers, sources, runs, [one.request.options for one in members], joined)
            return
        if search not in self.searches:
            self.searches[search] = BeamSearch(self.lm, self.base, search)
        limits = [one.request.options.max_new_tokens for one in members]
        self.limits |= dict(zip(numbers, limits, strict=True))
        self.searches[search].enter(numbers, sources, runs, joined, limits)

    def _batch_of(self, options: Search | Sampling) -> Search | None:
        """The options of the beam search that a request joins: those of its own, whatever its limit. None: sampling."""
        return replace(options, max_new_tokens=self.most_tokens) if isinstance(options, Search) else None


def reason_of(hypothesis: list[int], limit: int) -> str:
    """Why a hypothesis (ids without the end token) is done."""
    return "end" if len(hypothesis) < limit else "length"


def kind_of(adaptation: Adaptation) -> tuple:
    """Adaptations of one kind can be joined: prefixes at the same sites, or prompts of one length, or none."""
    prompt = None if adaptation.prompt is None else adaptation.prompt.shape[1]
    return tuple(sorted(adaptation.prefixes)), prompt


def run_all(engine: Engine, requests: Iterable[Request]) -> Iterator[tuple[int, list[int], str]]:
    """Yield index, ids and reason of each request, as they are done.

    Requests are read in a thread, as the batch has room: one that is slow to come holds up no other. Raises UserError
    as `Engine.submit`, for the first request that is wrong.
    """
    numbers: dict[int, int] = {}
    found: dict[int, list[int]] = {}
    ahead, count = Ahead(requests, engine.most_rows), 0
    while not ahead.ended or engine:
        room = engine.most_rows - sum(one.rows for one in engine.waiting)
        for request in ahead.take(max(room, 0), wait=not engine):
            number = engine.submit(request)
            numbers[number], found[number], count = count, [], count + 1
        for event in engine.step():
            found[event.number] += event.tokens
            if event.done is not None:
                yield numbers.pop(event.number), found.pop(event.number), event.done
