"""A record: one source and all its targets, as every stage after `linearize` reads it."""

from dataclasses import asdict, dataclass
from pathlib import Path

from stages.errors import UserError
from stages.files import read_jsonl, write_jsonl


@dataclass(frozen=True)
class Record:
    """`group` is a part of the data that is scored apart (seen or unseen, a topic), `name` what the source is about."""

    id: str
    source: str
    targets: list[str]
    group: str | None = None
    name: str | None = None


def write_records(path: Path, records: list[Record]) -> None:
    write_jsonl(path, (asdict(record) for record in records))


def read_records(path: Path) -> list[Record]:
    """Raises UserError that names the file and the line of a record that is not one."""
    records = []
    for number, fields in enumerate(read_jsonl(path), start=1):
        try:
            records.append(Record(**fields))
        except TypeError as error:
            raise UserError(f"{path}, record {number}: {error}") from error
    return records
