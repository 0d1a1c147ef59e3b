"""Files in CoNLL's columns."""

import re
from collections.abc import Iterator

from stages.core.files import TextFile


def columns_of(file: TextFile) -> Iterator[list[tuple[int, list[str]]]]:
    """The sentences of a file: of each token the number of its line and its columns, which spaces and tabs set apart.

    No other white space does: a no-break space is part of a word, as it is to conlleval. A blank line or one of
    -DOCSTART- ends a sentence.
    """
    sentence: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*file.lines, ""], start=1):
        columns = re.findall(r"[^ \t]+", line)
        if columns and columns[0] != "-DOCSTART-":
            sentence.append((number, columns))
        elif sentence:
            yield sentence
            sentence = []
