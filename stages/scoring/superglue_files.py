"""SuperGLUE's files: golds in the official JSON lines, hypotheses in these or one a line of text.

Labels are those of the official files, or the same classes in the Hugging Face hub's numbers and order.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.formats import read_lines
from stages.scoring.pairing import Entry, Key, Listing, match
from stages.scoring.records import holds_records, records_of

_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class Labels:
    """The classes of a task, in the hub's order, as the official files spell them and as others do.

    A file is of one spelling, the official one if it holds any official label: in a text model's outputs, a number among
    names is no label.
    """

    official: tuple[str, ...]
    other: tuple[str, ...]

    def __str__(self) -> str:
        """`false (0) or true (1)`"""
        return " or ".join(f"{name} ({also})" for name, also in zip(self.official, self.other, strict=True))

    def hypotheses(self, listing: Listing) -> Listing:
        """Labels as official files spell them; what is no label stays what it is, for a model may write anything.

        Raises UserError if no hypothesis is a label, or if labels are numbers and one is another number.
        """
        spelled = self._spelled(listing)
        if spelled is None:
            if not listing.entries:
                return listing
            raise UserError(f"{listing}: no hypothesis is a label of the task; labels are {self}")
        for entry in listing.entries:
            text = _text(entry.value)
            if "0" in spelled and _WHOLE_NUMBER.fullmatch(text) and text not in spelled:
                raise UserError(f"{entry.where}: the label {entry.value!r} is not {' or '.join(spelled)}")
        return _with(listing, lambda value: spelled.get(_text(value), _text(value)))

    def golds(self, listing: Listing) -> Listing:
        """Labels as official files spell them. Raises UserError for what is no label."""
        spelled = self._spelled(listing) or dict.fromkeys(self.official)
        for entry in listing.entries:
            if _text(entry.value) not in spelled:
                raise UserError(f"{entry.where}: the label {entry.value!r} is not {' or '.join(spelled)}")
        return _with(listing, lambda value: spelled[_text(value)])

    def _spelled(self, listing: Listing) -> dict[str, str] | None:
        """The official label of each label in the file's spelling; None if no label is in it."""
        texts = {_text(value) for value in listing.values}
        spellings = (dict(zip(names, self.official, strict=True)) for names in (self.official, self.other))
        return next((spelled for spelled in spellings if texts & set(spelled)), None)


def _with(listing: Listing, read: Callable[[Any], Any]) -> Listing:
    return replace(listing, entries=[replace(entry, value=read(entry.value)) for entry in listing.entries])


def _text(label: str | int) -> str:
    """For files hold true and "true", 1 and "1"."""
    return str(label).strip().lower()


TRUTH = Labels(("false", "true"), ("0", "1"))
ENTAILMENT = Labels(("entailment", "not_entailment"), ("0", "1"))
COMMITMENT = Labels(("entailment", "contradiction", "neutral"), ("0", "1", "2"))
CHOICE = Labels(("0", "1"), ("choice1", "choice2"))
OPTION = Labels(("0", "1"), ("false", "true"))


@dataclass(frozen=True)
class _Form:
    """What is scored in a record: each value, found by its `idx` and those of what it is part of.

    `entries` and `value` raise LookupError or TypeError for another form, ValueError that says what is wrong.
    """

    example: str
    levels: tuple[str, ...]  # what an error calls the numbers of a key
    entries: Callable[[Any], Iterator[tuple[Key, Any]]]
    value: Callable[[Any], Any]


def _label(value: Any) -> str | int:
    if not isinstance(value, str | int):
        raise TypeError
    return value


def _answer(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _gold_answers(value: list[Any]) -> list[str]:
    if not value:
        raise ValueError("a query without a gold answer")
    return [_answer(answer["text"]) for answer in value]


def _labelled(record: Any) -> Iterator[tuple[Key, Any]]:
    yield (record["idx"],), record["label"]


def _queries(record: Any) -> Iterator[tuple[Key, Any]]:
    for query in record["qas"]:
        yield (query["idx"],), query["answers"]


def _options(record: Any) -> Iterator[tuple[Key, Any]]:
    for question in record["passage"]["questions"]:
        for option in question["answers"]:
            yield (record["idx"], question["idx"], option["idx"]), option["label"]


_ANSWER = _Form('{"idx": 0, "label": "text"}', ("idx",), _labelled, _answer)
_QUERIES = _Form('{"qas": [{"idx": 0, "answers": [{"text": "text"}]}]}', ("idx",), _queries, _gold_answers)
_OPTIONS = _Form(
    '{"idx": 0, "passage": {"questions": [{"idx": 0, "answers": [{"idx": 0, "label": 1}]}]}}',
    ("passage idx", "question idx", "answer idx"),
    _options,
    _label,
)


def read_labels(labels: Labels, hypotheses: TextFile, references: list[TextFile]) -> tuple[list[str], list[str]]:
    """Labels as official files spell them: of text by line, of records in any order. Raises UserError."""
    form = _Form(json.dumps({"idx": 0, "label": labels.official[-1]}), ("idx",), _labelled, _label)
    golds = labels.golds(_read_golds(references, form))
    return labels.hypotheses(_read_hypotheses(hypotheses, form, golds)).values, golds.values


def read_answers(hypotheses: TextFile, references: list[TextFile]) -> tuple[list[str], list[list[str]]]:
    """ReCoRD's answers: of text by line, of records in any order; and the gold ones of each query. Raises UserError."""
    golds = _read_golds(references, _QUERIES)
    return _read_hypotheses(hypotheses, _ANSWER, golds).values, golds.values


def read_options(hypotheses: TextFile, references: list[TextFile]) -> tuple[list[list[str]], list[list[str]]]:
    """MultiRC: by question the labels of its options. Raises UserError."""
    golds = OPTION.golds(_read_golds(references, _OPTIONS))
    if not holds_records(hypotheses, "idx"):
        raise UserError(f"{hypotheses}: labels of MultiRC are JSON lines of the form {_OPTIONS.example}")
    found = OPTION.hypotheses(_read_hypotheses(hypotheses, _OPTIONS, golds))
    questions: dict[Key, tuple[list[str], list[str]]] = {}
    for gold, mine in zip(golds.entries, found.entries, strict=True):
        pair = questions.setdefault(gold.key[:2], ([], []))
        for side, entry in zip(pair, (mine, gold), strict=True):
            side.append(entry.value)
    return [mine for mine, _ in questions.values()], [gold for _, gold in questions.values()]


def _read_golds(files: list[TextFile], form: _Form) -> Listing:
    if len(files) != 1:
        raise UserError(f"SuperGLUE's gold is one .jsonl file, not {len(files)}: {', '.join(map(str, files))}")
    golds = _read_records(files[0], form)
    if not golds.entries:
        raise UserError(f"{files[0]}: nothing to score; a line is of the form {form.example}")
    return golds


def _read_hypotheses(file: TextFile, form: _Form, golds: Listing) -> Listing:
    """In the order of the golds."""
    if holds_records(file, "idx"):
        return Listing([file], match(_read_records(file, form), golds), golds.kind)
    lines = read_lines(file)
    if len(lines.entries) != len(golds.entries):
        raise UserError(f"{file} has {len(lines.entries)} lines, but {golds} has {len(golds.entries)} to answer")
    return lines


def _read_records(file: TextFile, form: _Form) -> Listing:
    """Each value once. Raises UserError for a record of another form, and for a value that comes again."""
    listing = Listing(
        [file], [entry for record in records_of(file) for entry in _entries_of(record, form)], form.levels
    )
    listing.by_key()
    return listing


def _entries_of(record: Entry, form: _Form) -> list[Entry]:
    try:
        entries = [replace(record, key=key, value=form.value(value)) for key, value in form.entries(record.value)]
        if any(type(number) is not int for entry in entries for number in entry.key):
            raise TypeError
    except ValueError as error:
        raise UserError(f"{record.where}: {error}") from error
    except (LookupError, TypeError) as error:
        raise UserError(f"{record.where}: not of the form {form.example}") from error
    return entries
