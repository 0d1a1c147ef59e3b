"""A record: one source and all its targets, as every stage after `linearize` reads it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import parse_json, write_jsonl


@dataclass(frozen=True)
class Record:
    """`group` is a part of the data that is scored apart (seen or unseen, a topic), `name` what the source is about.

    An encoder reads, in place of the source, `parts` where there are: a text or a pair, of each of the choices (one, if
    there is nothing to choose). Of `words` the target gives a tag each.
    """

    id: str
    source: str
    targets: list[str]
    group: str | None = None
    name: str | None = None
    parts: list[list[str]] | None = None
    words: list[str] | None = None


def with_source_prefix(records: Iterable[Record], words: str | None) -> Iterator[Record]:
    """With `words` as text before each source (the fine-tuning baseline of low data, appendix A.2); None: as they are.

    Raises UserError for a record whose words are tagged.
    """
    for record in records:
        if words is None:
            yield record
            continue
        if record.words is not None:
            raise UserError(
                f"params.yaml: source_words is not for tasks that tag words, such as that of record {record.id}"
            )
        parts = record.parts and [[f"{words} {first}", *rest] for first, *rest in record.parts]
        yield replace(record, source=f"{words} {record.source}", parts=parts)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """One a line, without keys that are not of its task."""
    own = ("parts", "words")
    write_jsonl(path, (
        {key: value for key, value in asdict(record).items() if key not in own or value is not None} for record in records
    ))  # fmt: skip


def read_records(path: Path) -> Iterator[Record]:
    """One by one: a data set need not fit into memory.

    Raises UserError that names the file and the line of what is not UTF-8 or JSON, or the record that is none.
    """
    number = 0
    for line, text in enumerate(_lines(path), start=1):
        if text.strip():
            number += 1
            try:
                yield Record(**parse_json(text, path, line))
            except TypeError as error:
                raise UserError(f"{path}, record {number}: {error}") from error


def _lines(path: Path) -> Iterator[str]:
    """The lines of `read_text` without the whole of it."""
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield line.removesuffix(b"\n").decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    wrong = error.object[error.start]
                    raise UserError(f"{path}, line {number}: byte 0x{wrong:02x} is not UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
