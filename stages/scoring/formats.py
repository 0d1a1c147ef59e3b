"""Readers of hypotheses and references that are texts: of lines, or of JSON records. What a file holds tells the form."""

from dataclasses import replace
from itertools import groupby

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.pairing import Entry, Listing, match, paired
from stages.scoring.records import holds_records, values_of

HYPOTHESIS, REFERENCES = "hypothesis", "references"  # keys of records


def read_columns(hypotheses: TextFile, references: list[TextFile]) -> tuple[list[str], list[list[str]]]:
    """Hypotheses, and by segment the references of every file, in the order of the references.

    Records of both that have an `id` are paired by it, others by their order. Raises UserError.
    """
    return paired(read_hypotheses(hypotheses), read_references(references))


def read_hypotheses(file: TextFile) -> Listing:
    """Hypotheses in order: of records the values of the key `hypothesis`, else one per line.

    An empty line of text is an empty hypothesis; one of JSON lines is nothing. Raises UserError.
    """
    if not holds_records(file, HYPOTHESIS):
        return read_lines(file)
    listing = values_of(file, HYPOTHESIS)
    for entry in listing.entries:
        if not isinstance(entry.value, str):
            raise UserError(f'{entry.where}: no text under the key "{HYPOTHESIS}"')
    return listing


def read_references(files: list[TextFile]) -> Listing:
    """References by segment: line i of each file of text (an empty line is none), the list under `references` of records.

    Those of several files are joined: by `id` where the records have one, in the order of the first file, else by their
    order. Raises UserError, also where the files do not have the same segments.
    """
    first, *others = [_references(file) for file in files]
    texts = first.values
    for other in others:
        texts = [before + more for before, more in zip(texts, _in_order_of(first, other), strict=True)]
    entries = [replace(entry, value=value) for entry, value in zip(first.entries, texts, strict=True)]
    return Listing(files, entries, first.kind)


def _in_order_of(first: Listing, other: Listing) -> list[list[str]]:
    """The references of another file. Raises UserError where they are not of the same segments as those of the first."""
    if other.kind != first.kind:
        without, having = (other, first) if first.kind else (first, other)
        raise UserError(f"{without} has no id, but {having} has: references are joined by id, or by their order")
    if first.kind:
        return [entry.value for entry in match(other, first)]
    if len(other.entries) != len(first.entries):
        raise UserError(f"{other} has {len(other.entries)} segments, but {first} has {len(first.entries)}")
    return other.values


def read_groups(file: TextFile) -> Listing:
    """References of a text file, one per line, one blank line between segments.

    Without any blank line it is one reference per segment, as the E2E challenge's script takes it. Raises
    UserError for a group without references.
    """
    lines = [line.strip() for line in file.lines]
    while lines and not lines[-1]:
        del lines[-1]
    for number, (before, line) in enumerate(zip(["", *lines], lines, strict=False), start=1):
        if not before and not line:
            raise UserError(f"{file}, line {number}: a group without references; one blank line ends a group")
    numbered = enumerate(lines, start=1)
    groups = [list(group) for blank, group in groupby(numbered, key=lambda line: not line[1]) if not blank]
    if len(groups) == 1:
        groups = [[line] for line in groups[0]]
    return Listing([file], [Entry(file, f"line {group[0][0]}", [text for _, text in group]) for group in groups])


def read_subsets(file: TextFile) -> list[str]:
    """The name of each segment's subset, one per line. Raises UserError for a line without, or named `all`."""
    names = [line.strip() for line in file.lines]
    for number, name in enumerate(names, start=1):
        if name in ("", "all"):
            raise UserError(f"{file}, line {number}: {'no subset' if not name else '`all` is the name of the whole'}")
    return names


def read_lines(file: TextFile) -> Listing:
    """An entry a line."""
    return Listing([file], [Entry(file, f"line {number}", line) for number, line in enumerate(file.lines, start=1)])


def _references(file: TextFile) -> Listing:
    if not holds_records(file, REFERENCES):
        listing = read_lines(file)
        return replace(listing, entries=[replace(entry, value=[entry.value.strip()]) for entry in listing.entries])
    listing = values_of(file, REFERENCES)
    for entry in listing.entries:
        if not isinstance(entry.value, list) or not all(isinstance(text, str) for text in entry.value):
            raise UserError(f'{entry.where}: no list of texts under the key "{REFERENCES}"')
    return listing
