"""The E2E challenge's tables of meaning representations (MRs) and texts, .csv or .tsv, as its present script reads them.

That is measure_scores.py of 2020 and later: columns are found by their headers, fields are quoted as in any .csv file,
and some broken characters are repaired. The script says nothing of what is unclear; here it is one line, or saner:

- A header is known by a whole name, not by how it begins. The script fails on a table without one, which its README
  allows: here a first row of an MR and a text is data. Any other first row is refused.
- A line break within quotes is white space, where the script joins the words. A quotation mark that is never closed, or
  by that of another row, is refused.
- Each MR of the references is scored once, and must have an output. The script skips one without, and scores one twice
  that comes twice.
- Rows of one MR belong together wherever they stand, also where the outputs have no MRs.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.pairing import Entry, Listing

MR = ("MR",)  # the kind of their keys

_SUFFIXES = (".csv", ".tsv")
_REPAIRS = {"Ł": "£", "Â£": "£", "Ã©": "é", "ã©": "é"}

# Headers of a column, in any case, with `_`, `.` or `-` for a space, in the plural too.
_MEANINGS = frozenset(
    ("mr", "src", "source", "meaning", "meaning rep", "meaning representation", "da", "dialog act", "dialogue act")
)
_SYSTEM = ("sys", "system", "sys output", "system output")
_OUTPUTS = frozenset((*_SYSTEM, "out", "output", "ref", "reference"))
_REFERENCES = frozenset(("ref", "reference", "human", "human ref", "human reference", "trg", "tgt", "target"))

# An MR of the challenge: name[Blue Spice], customer rating[5 out of 5]
_FIELD = r"\w+(?: \w+)*\[[^\[\]]*\]"
_MEANING = re.compile(rf"\s*{_FIELD}(?:,\s*{_FIELD})*\s*")


def is_table(file: TextFile) -> bool:
    """By the suffix, or since the first line is a header, which a pipe has too."""
    if file.path.suffix.lower() in _SUFFIXES:
        return True
    first = next((line for line in file.lines if line.strip()), "")
    rows = [[cell.strip().strip('"') for cell in first.split(separator)] for separator in "\t,"]
    return any(_columns(row, texts) for row in rows for texts in (_OUTPUTS, _REFERENCES))


def read_outputs(file: TextFile) -> Listing:
    """A system's outputs by row. Raises UserError."""
    return Listing([file], list(_rows(file, _OUTPUTS)), MR)


def once(outputs: Listing) -> Listing:
    """Without rows that say again what another row says, as there are where a table has a row for each reference."""
    first = {(entry.key, entry.value): entry for entry in reversed(outputs.entries)}
    return replace(outputs, entries=[entry for entry in outputs.entries if first[entry.key, entry.value] is entry])


def read_table_references(files: list[TextFile]) -> Listing:
    """References by MR, those of all rows that give it, in the order in which MRs come first. Raises UserError."""
    groups: dict[tuple, Entry] = {}
    for file in files:
        for row in _rows(file, _REFERENCES):
            groups.setdefault(row.key, replace(row, value=[])).value.append(row.value)
    return Listing(files, list(groups.values()), MR)


def _rows(file: TextFile, texts: frozenset[str]) -> Iterator[Entry]:
    """A text a row, under its MR. `texts` are the headers that its column may have."""
    separator, columns, header = _layout(file, texts)
    width = 0
    for line, row in _cells(file, separator):
        if len(row) < 2 and not "".join(row).strip():
            continue
        width = width or len(row)
        if len(row) != width:
            raise UserError(f"{file}, line {line}: {len(row)} columns, not {width} as in the first row")
        if header:
            header = False
            continue
        meaning, text = (row[column] for column in columns)
        yield Entry(file, f"line {line}", text, (" ".join(meaning.split()),))


def _layout(file: TextFile, texts: frozenset[str]) -> tuple[str, tuple[int, int], bool]:
    """The separator, the columns of MR and text, and whether the first row is a header."""
    firsts = {}
    for separator in "\t,":
        rows = (row for _, row in _cells(file, separator) if "".join(row).strip())
        firsts[separator] = next(rows, [])
    if not any(firsts.values()):
        return ",", (0, 1), False
    for separator, row in firsts.items():
        if columns := _columns(row, texts):
            return separator, columns, True
    for separator, row in firsts.items():
        if len(row) == 2 and _MEANING.fullmatch(row[0]):
            return separator, (0, 1), False
    raise UserError(
        f"{file}: the first row is neither a header, with one column of MRs (mr, source) and one of texts "
        f"({', '.join(sorted(texts)[:3])}), nor a row of an MR (name[Blue Spice], food[French]) and a text"
    )


def _columns(header: list[str], texts: frozenset[str]) -> tuple[int, int] | None:
    """Of the MR and of the text, where there is one of each."""
    names = [" ".join(re.split(r"[\s_.-]+", cell.strip().lower())) for cell in header]
    meanings, found = (
        [column for column, name in enumerate(names) if name in known or name.removesuffix("s") in known]
        for known in (_MEANINGS, texts)
    )
    return (meanings[0], found[0]) if len(meanings) == len(found) == 1 else None


def _cells(file: TextFile, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number of a row's first line, and its cells. Raises UserError where a quotation mark takes in other rows."""
    lines = [*map(_repaired, file.lines), "the end"]  # the last is a row of its own, unless a quotation mark is open
    reader, line = csv.reader(lines, delimiter=separator), 1
    try:
        for row in reader:
            if line == len(lines):
                return
            if reader.line_num == len(lines):
                raise UserError(f"{file}, line {line}: not CSV (its quotation mark is never closed)")
            if reader.line_num > line:  # read as it is, if its quotation marks are not just those of other rows
                list(csv.reader(lines[line - 1 : reader.line_num], delimiter=separator, strict=True))
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{file}, line {line}: not CSV ({error})") from error


def _repaired(line: str) -> str:
    for broken, whole in _REPAIRS.items():
        line = line.replace(broken, whole)
    return line.replace("\r", " ") + "\n"
