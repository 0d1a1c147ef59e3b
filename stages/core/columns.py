"""Reads files in the column format of CoNLL."""

import re
from collections.abc import Iterator

from stages.core.files import TextFile


def columns_of(file: TextFile) -> Iterator[list[tuple[int, list[str]]]]:
    """The sentences of a file. Each token is the number of its line (from 1) and its columns.

    Columns are separated by spaces and tabs only: as in conlleval, a no-break space is part of a word. A sentence ends
    at a blank line or at -DOCSTART-. Raises UserError if the file cannot be read.
    """
    sentence: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*file.lines, ""], start=1):
        columns = re.findall(r"[^ \t]+", line)
        if columns and columns[0] != "-DOCSTART-":
            sentence.append((number, columns))
        elif sentence:
            yield sentence
            sentence = []
