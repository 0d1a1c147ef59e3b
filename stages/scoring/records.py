"""JSON records, one a line or all in one list, known by what a file holds and not by its suffix alone."""

from stages.core.errors import UserError
from stages.core.files import TextFile, parse_json
from stages.scoring.pairing import Entry, Listing

_SUFFIXES = (".jsonl", ".ndjson", ".json")


def holds_records(file: TextFile, key: str) -> bool:
    """Whether a file is JSON: by its suffix, or since each line that is not blank is an object, or the file a list of them.

    Raises UserError for a file in which only some lines are objects and one has `key`: a file of records that is broken
    would be scored as text.
    """
    if file.path.suffix.lower() in _SUFFIXES or _listed(file) is not None:
        return True
    lines = [_object(line, file, number) for number, line in enumerate(file.lines, start=1) if line.strip()]
    wrong = next((line for line in lines if isinstance(line, UserError)), None)
    if wrong and any(isinstance(line, dict) and key in line for line in lines):
        raise wrong
    return bool(lines) and not wrong


def records_of(file: TextFile) -> list[Entry]:
    """The records of a file, whatever JSON they are. Raises UserError for what is not JSON."""
    values = _listed(file)
    if values is not None:
        return [Entry(file, f"record {number}", value) for number, value in enumerate(values, start=1)]
    lines = enumerate(file.lines, start=1)
    return [Entry(file, f"line {number}", parse_json(line, file, number)) for number, line in lines if line.strip()]


def values_of(file: TextFile, key: str) -> Listing:
    """The value under `key` of each record, None where there is none; records are known by their `id`, if any has one.

    The ids 1 and "1" are the same; null is none. Raises UserError for what is not JSON.
    """
    records = [(entry, entry.value if isinstance(entry.value, dict) else {}) for entry in records_of(file)]
    entries = [
        Entry(file, entry.place, record.get(key), None if record.get("id") is None else (str(record["id"]),))
        for entry, record in records
    ]
    return Listing([file], entries, ("id",) if any(entry.key for entry in entries) else ())


def _listed(file: TextFile) -> list[dict] | None:
    """The objects of a file that is one JSON list of them; None for another."""
    if not file.text.lstrip().startswith("["):
        return None
    try:
        values = parse_json(file.text, file)
    except UserError:
        if file.path.suffix.lower() == ".json":
            raise
        return None
    return values if values and all(isinstance(value, dict) for value in values) else None


def _object(line: str, file: TextFile, number: int) -> dict | UserError:
    """The JSON object that a line is, or why it is none."""
    if not line.lstrip().startswith("{"):
        return UserError(f"{file}, line {number}: no JSON object, though other lines are")
    try:
        return parse_json(line, file, number)
    except UserError as error:
        return error
