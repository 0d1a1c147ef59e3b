"""One completion request: its texts under way, from the worker's thread to the server's loop."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from stages.serving.engine import Event, Request, reason_of
from stages.serving.protocol import Completion
from stages.serving.worker import Failed, Worker


class TextStream:
    """The text of tokens as they come: a character whose bytes are not all there yet is held back."""

    def __init__(self, tokenizer):
        self.tokenizer, self.ids, self.text = tokenizer, [], ""

    def add(self, ids: list[int], last: bool) -> str:
        """The text that is new with these tokens; `last`: nothing follows."""
        self.ids += ids
        whole = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        if whole.endswith("\ufffd") and not last:
            return ""
        new, self.text = whole[len(self.text) :], whole
        return new


@dataclass
class Part:
    """What is new of a text: `index` of the choice, its `text` and how many `tokens`; `reason`: why it is done."""

    index: int
    text: str
    tokens: int
    reason: str | None


@dataclass
class Texts:
    """The texts of a completion request under way. Leaving the `async with` block gives up what is not done."""

    worker: Worker
    body: Completion
    beam: int
    banned: tuple[int, ...]
    prompt_tokens: int = 0
    _numbers: dict[int, int] = field(default_factory=dict)  # the first choice of each request that is not done
    _submitted: list[Future[int]] = field(default_factory=list)

    async def __aenter__(self) -> "Texts":
        """Hand all texts to the worker. Raises UserError, `Full` and `Stopped` as `Worker.submit`."""
        self._loop, self._events = asyncio.get_running_loop(), asyncio.Queue()
        lm, body = self.worker.engine.lm, self.body
        try:
            for place, prompt in enumerate(body.prompts):
                self.prompt_tokens += len(lm.source_ids([prompt], None)[0])
                chosen = body.options(lm, self.beam, self.banned, secrets.randbits(32))
                for number, options in enumerate(chosen):
                    request = Request(body.model, prompt, options)
                    self._submitted.append(self.worker.submit(request, self._deliver))
                    taken = await asyncio.wrap_future(self._submitted[-1])
                    self._numbers[taken] = place * body.n + number
        except BaseException:
            self._give_up()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_up()

    def _deliver(self, event: Event | Failed) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _give_up(self) -> None:
        for future in self._submitted:
            if not future.cancel():  # it has been taken, or is being taken at this moment
                future.add_done_callback(self._cancel)
        self._submitted.clear()

    def _cancel(self, taken: Future[int]) -> None:
        if taken.exception() is None:
            self.worker.cancel(taken.result())

    async def parts(self) -> AsyncIterator[Part]:
        """What is new of any text, until all are done. Raises Failed if the worker has ended."""
        tokenizer = self.worker.engine.lm.tokenizer
        streams: dict[int, TextStream] = {}
        while self._numbers:
            event = await self._events.get()
            if isinstance(event, Failed):
                raise event
            index = self._numbers[event.number]
            stream = streams.setdefault(index, TextStream(tokenizer))
            text = stream.add(event.tokens, event.done is not None)
            if text or event.done or event.tokens:
                yield Part(index, text, len(event.tokens), event.done)
            for further, ids in enumerate(event.others[: self.body.n - 1], start=1):
                text = TextStream(tokenizer).add(ids, True)
                yield Part(index + further, text, len(ids), reason_of(ids, self.body.max_tokens))
            if event.done is not None:
                del self._numbers[event.number]
