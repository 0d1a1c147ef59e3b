"""The E2E challenge's tables of meaning representations and texts, .csv or .tsv, as its script reads them.

The script repairs some broken characters in them, and takes one quotation mark off either end of what is
between its separators. It refuses doubled quotation marks, which the challenge's own devset.csv has; here they
are what they are in every other .csv file.
"""

import csv
import io
import re
from itertools import groupby
from pathlib import Path

from stages.errors import UserError
from stages.files import read_text

SUFFIXES = (".csv", ".tsv")

_REPAIRS = {"Ł": "£", "Â£": "£", "Ã©": "é", "ã©": "é"}
_FIRST_QUOTE = re.compile(r"^\s*['\"]?\s*")
_LAST_QUOTE = re.compile(r"\s*['\"]?\s*$")


def read_table(path: Path) -> list[tuple[str, str]]:
    """Rows of (meaning representation, text), without the header if there is one. Raises UserError."""
    text = read_text(path)
    for broken, whole in _REPAIRS.items():
        text = text.replace(broken, whole)
    tabs = "\t" in text
    table = csv.reader(io.StringIO(text, newline=""), **({"dialect": _Tabs} if tabs else {"strict": True}))
    rows, line = [], 1
    try:
        for row in table:
            header = line == 1 and row[:1] and re.match(r'"?mr', row[0], re.IGNORECASE)
            if row and not header:
                if len(row) != 2:
                    raise UserError(f"{path}, line {line}: {len(row)} columns, not 2 (meaning representation, text)")
                rows.append((_bare(row[0], tabs), _bare(row[1], tabs)))
            line = table.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: not CSV ({error})") from error
    return rows


def group_references(path: Path) -> list[list[str]]:
    """References by segment: the texts of rows that follow each other with the same meaning. Raises UserError."""
    return [[text for _, text in rows] for _, rows in groupby(read_table(path), key=lambda row: row[0])]


class _Tabs(csv.excel_tab):
    quoting = csv.QUOTE_NONE


def _bare(text: str, tabs: bool) -> str:
    """Without white space around it and without the quotation marks that the script takes off.

    In .csv the last of them is the field's own, which the reader has taken off already.
    """
    text = _FIRST_QUOTE.sub("", text, count=1)
    return _LAST_QUOTE.sub("", text, count=1) if tabs else text.rstrip()
