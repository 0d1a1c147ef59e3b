"""The thread that computes: other threads hand it requests and get the events of each as they happen."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from stages.serving.engine import Engine, Event, Request


class Full(Exception):
    """As many requests wait as may."""


class Stopped(Exception):
    """The worker takes no more requests."""


class Failed(Exception):
    """The worker ended by an error, its cause."""


# Called in the thread of the worker, with each event of a request, or with what ended it.
Deliver = Callable[[Event | Failed], None]


class Worker:
    """Steps an engine as long as it has something to do. Only its thread touches the engine and its bank."""

    def __init__(self, engine: Engine, most_waiting: int):
        """`most_waiting`: how many requests may wait for a place in the batch."""
        self.engine, self.most_waiting = engine, most_waiting
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._delivers: dict[int, Deliver] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self.waiting = self.running = self.loaded_bytes = 0  # for `/metrics`

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it works: False before `start`, and after `stop` or an error in the model."""
        return self._thread.is_alive()

    def submit(self, request: Request, deliver: Deliver) -> "Future[int]":
        """Hand over a request; the result is its number. It raises UserError as `Engine.submit`, `Full` and `Stopped`."""

        def act() -> int:
            if self._stopping.is_set():
                raise Stopped
            if len(self.engine.waiting) >= self.most_waiting:
                raise Full
            number = self.engine.submit(request)
            self._delivers[number] = deliver
            return number

        return self.call(act)

    def cancel(self, number: int) -> None:
        """Forget a request; it has no further events."""

        def act() -> None:
            self._delivers.pop(number, None)
            self.engine.cancel(number)

        self.call(act)

    def call(self, act: Callable[[], Any]) -> "Future[Any]":
        """Let the worker's thread call `act`, between two steps. The result raises what `act` raises, and `Stopped`."""
        future: Future[Any] = Future()
        if self._stopping.is_set() or not self.alive:
            future.set_exception(Stopped())
            return future

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return  # whoever asked has left
            try:
                future.set_result(act())
            except Exception as error:
                future.set_exception(error)

        self._tasks.put(task)
        if not self.alive:  # it ended meanwhile
            self._drain()
        return future

    def stop(self) -> None:
        """Take no more requests, finish those that were taken, and end the thread."""
        self._stopping.set()
        self._tasks.put(lambda: None)  # wakes it
        if self.alive:
            self._thread.join()

    def _work(self) -> None:
        try:
            while not self._stopping.is_set() or self.engine or not self._tasks.empty():
                self._take()
                for event in self.engine.step():
                    deliver = self._delivers.get(event.number)
                    if event.done is not None:
                        self._delivers.pop(event.number, None)
                    if deliver is not None:
                        deliver(event)
                self._count()
        except Exception as error:  # out of memory, for instance: whoever waits must know
            for deliver in self._delivers.values():
                failed = Failed()
                failed.__cause__ = error
                deliver(failed)
            raise
        finally:
            self._stopping.set()
            self._drain()

    def _take(self) -> None:
        """Do what was asked; if there is nothing else to do, wait for it."""
        try:
            task = self._tasks.get(block=not self.engine)
            while True:
                task()
                task = self._tasks.get(block=False)
        except Empty:
            pass

    def _count(self) -> None:
        self.waiting, self.running = len(self.engine.waiting), self.engine.rows
        self.loaded_bytes = self.engine.bank.loaded_bytes

    def _drain(self) -> None:
        """Do what was asked too late, so that nobody waits for it for ever."""
        with contextlib.suppress(Empty):
            while True:
                self._tasks.get(block=False)()
