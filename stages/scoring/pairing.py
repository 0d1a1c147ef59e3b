"""Hypotheses and references of the same segments, found by what both files call them, or by their order."""

from dataclasses import dataclass
from typing import Any

from stages.core.errors import UserError
from stages.core.files import TextFile

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Entry:
    """What a file holds of a segment, and where. `key` is what the file calls the segment, None where it does not."""

    file: TextFile
    place: str  # "line 3"
    value: Any
    key: Key | None = None

    @property
    def where(self) -> str:
        return f"{self.file}, {self.place}"


@dataclass(frozen=True)
class Listing:
    """What one or more files hold of all segments, in order. `kind` names the parts of a key; empty: there are no keys."""

    files: list[TextFile]
    entries: list[Entry]
    kind: tuple[str, ...] = ()

    @property
    def values(self) -> list[Any]:
        return [entry.value for entry in self.entries]

    def __str__(self) -> str:
        return ", ".join(map(str, self.files))

    def by_key(self) -> dict[Key, Entry]:
        """Raises UserError for an entry without key, and for a key that comes twice."""
        entries: dict[Key, Entry] = {}
        for entry in self.entries:
            if entry.key is None:
                raise UserError(f"{entry.where}: no {', '.join(self.kind)}, though others have one")
            if entry.key in entries:
                raise UserError(f"{entry.where}: {self.name(entry.key)} again, after {entries[entry.key].place}")
            entries[entry.key] = entry
        return entries

    def name(self, key: Key) -> str:
        return ", ".join(f"{part} {value!r}" for part, value in zip(self.kind, key, strict=True))


def paired(hypotheses: Listing, references: Listing) -> tuple[list[Any], list[Any]]:
    """Values of both, in the order of the references: paired by key where both have keys of one kind, else as they are.

    By key, each segment must be in both, once. Raises UserError. Where there are no keys, the counts may differ.
    """
    if not hypotheses.kind or hypotheses.kind != references.kind:
        return hypotheses.values, references.values
    return [entry.value for entry in match(hypotheses, references)], references.values


def match(found: Listing, wanted: Listing) -> list[Entry]:
    """The entries of `found` in the order of `wanted`. Raises UserError for a key that is not in both, or not once."""
    known, asked = found.by_key(), wanted.by_key()
    for key, entry in known.items():
        if key not in asked:
            raise UserError(f"{entry.where}: {wanted.name(key)}, which {wanted} does not have")
    for key, entry in asked.items():
        if key not in known:
            raise UserError(f"{found}: no {wanted.name(key)}, which is in {entry.where}")
    return [known[key] for key in asked]
