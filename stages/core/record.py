"""A record: one source with all its targets. Every stage after `linearize` reads records."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import parse_json, write_jsonl


@dataclass(frozen=True)
class Record:
    """A source with all its targets.

    `group`: part of the data that is scored separately (seen or unseen, a topic); `name`: what the source is about.
    Only encoders read the other two. `parts`: a text or a pair of texts to read in place of the source, one for each
    choice of a multiple-choice task, else a single one. `words`: the words to tag; the target has one tag for each.
    """

    id: str
    source: str
    targets: list[str]
    group: str | None = None
    name: str | None = None
    parts: list[list[str]] | None = None
    words: list[str] | None = None


def with_source_prefix(records: Iterable[Record], words: str | None) -> Iterator[Record]:
    """The records with the text `words` before each source; None: unchanged.

    The low-data fine-tuning baseline of appendix A.2 uses this. Raises UserError for a record with words to tag.
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
    """Write records as JSON Lines, without `parts` and `words` where None. Raises UserError as `replacing`."""
    own = ("parts", "words")
    write_jsonl(path, (
        {key: value for key, value in asdict(record).items() if key not in own or value is not None} for record in records
    ))  # fmt: skip


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a JSON Lines file one by one, so that a data set need not fit into memory.

    Raises UserError if the file cannot be read, or for a line that is not UTF-8, not JSON or not a record.
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
    """The lines of a UTF-8 file, read one by one. Raises UserError as `read_text`."""
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
