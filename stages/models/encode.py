"""Records as examples: each target of a record with its source, as token ids in a temporary file."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from tempfile import TemporaryFile

import torch

from stages.core.errors import UserError
from stages.core.record import Record
from stages.core.scratch import SCRATCH
from stages.models.batches import Example
from stages.models.model import LM

AT_ONCE = 100  # records or texts per call of the tokenizer, which needs a hundred bytes per token


class Rows(Sequence[list[int]]):
    """Rows of token ids, read from a file one at a time; `lengths` [rows] are their numbers of tokens.

    The file has no name, so nothing is left of it however the process ends. It is not memory-mapped: mapped pages
    count as the process's memory. Raises UserError if it cannot be written.
    """

    def __init__(self, rows: Iterable[list[int]]):
        lengths = array("q")
        try:
            SCRATCH.mkdir(exist_ok=True)
            self._file = TemporaryFile(dir=SCRATCH)  # noqa: SIM115 - open as long as the rows are in use
            for ids in rows:
                lengths.append(len(ids))
                self._file.write(array("i", ids))
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write token ids into {SCRATCH}: {error.strerror or error}") from error
        self.lengths = torch.tensor(lengths, dtype=torch.long)
        self._starts = self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> list[int]:
        size, start = (4 * numbers[index].item() for numbers in (self.lengths, self._starts))
        return array("i", os.pread(self._file.fileno(), size, start)).tolist()


class Examples(Sequence[Example]):
    """Examples in a temporary file; `lengths` [examples, 2] are the tokens of source and target."""

    def __init__(self, examples: Iterable[Example]):
        self._rows = Rows(ids for example in examples for ids in (example.source, example.target))
        self.lengths = self._rows.lengths.view(-1, 2)  # [2 * examples] -> [examples, 2]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Example:
        return Example(self._rows[2 * index], self._rows[2 * index + 1])


def parts(items: Iterable) -> Iterator[list]:
    """Split items into lists of at most `AT_ONCE`, the number tokenized per call."""
    items = iter(items)
    return iter(lambda: list(islice(items, AT_ONCE)), [])


def encode(lm: LM, records: Iterable[Record], most_source: int | None, most_target: int | None) -> Examples:
    """One example per target of each record, cut at `most_source` and `most_target` tokens (None: no cut)."""

    found = (lm.examples(part, most_source, most_target) for part in parts(records))
    return Examples(example for some in found for example in some)


def check_length(lm: LM, examples: Examples, length: int) -> None:
    """Raises UserError if an example does not fit the model's positions beside `length` virtual tokens."""
    for source, target in examples.lengths.unique(dim=0).tolist():
        lm.check_max_length(source, target, length)
