"""Reads an iterable in a thread of its own, so that a slow one (a pipe) holds up nobody."""

import threading
from collections.abc import Iterable
from queue import Empty, Queue
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """The values of an iterable, as they come. `ended`: there are no more."""

    def __init__(self, values: Iterable[T], most: int):
        """At most `most` values are read ahead."""
        self.ended = False
        self._found: Queue = Queue(most)
        threading.Thread(target=self._read, args=(values,), daemon=True).start()

    def take(self, most: int, wait: bool) -> list[T]:
        """At most `most` values that are there. With `wait`, at least one, unless there are no more.

        Raises what the iterable raised, once its values before that are taken.
        """
        found: list[T] = []
        while len(found) < most and not self.ended:
            try:
                value, error = self._found.get(block=wait and not found)
            except Empty:
                break
            if error is not None:
                self.ended = True
                if not isinstance(error, StopIteration):
                    raise error
            else:
                found.append(value)
        return found

    def _read(self, values: Iterable[T]) -> None:
        try:
            for value in values:
                self._found.put((value, None))
        except BaseException as error:  # raised where the values are taken
            self._found.put((None, error))
        else:
            self._found.put((None, StopIteration()))
