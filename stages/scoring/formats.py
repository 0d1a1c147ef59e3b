"""Readers of hypotheses and references. The file's suffix tells the form."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from stages.errors import UserError
from stages.files import read_text


def read_columns(hypotheses: Path, references: list[Path]) -> tuple[list[str], list[list[str]]]:
    """Hypotheses, and by segment the same line of every file of references; an empty line is none.

    Raises UserError.
    """
    return read_hypotheses(hypotheses), read_references(references)


def read_hypotheses(path: Path) -> list[str]:
    """Hypotheses in order: of a .jsonl file the values of the key `hypothesis`, else one per line.

    An empty line of text is an empty hypothesis; one of JSON lines is nothing. Raises UserError.
    """
    if path.suffix.lower() != ".jsonl":
        return lines_of(path)
    hypotheses = _json_values(path, "hypothesis")
    for number, text in hypotheses:
        if not isinstance(text, str):
            raise UserError(f'{path}, line {number}: no text under the key "hypothesis"')
    return [text for _, text in hypotheses]


def read_references(paths: list[Path]) -> list[list[str]]:
    """References by segment: line i of each text file, or the list under `references` of a .jsonl file.

    Raises UserError, also where the files have different numbers of lines.
    """
    if len(paths) == 1 and paths[0].suffix.lower() == ".jsonl":
        return _json_references(paths[0])
    columns = [lines_of(path) for path in paths]
    for path, column in zip(paths, columns, strict=True):
        if len(column) != len(columns[0]):
            raise UserError(f"{path} has {len(column)} lines, but {paths[0]} has {len(columns[0])}")
    return [[text.strip() for text in segment] for segment in zip(*columns, strict=True)]


def read_groups(path: Path) -> list[list[str]]:
    """References of a text file, one per line, one blank line between segments.

    Without any blank line it is one reference per segment, as the E2E challenge's script takes it. Raises
    UserError for a group without references.
    """
    lines = [line.strip() for line in lines_of(path)]
    while lines and not lines[-1]:
        del lines[-1]
    for number, (before, line) in enumerate(zip(["", *lines], lines, strict=False), start=1):
        if not before and not line:
            raise UserError(f"{path}, line {number}: a group without references; one blank line ends a group")
    groups = [list(group) for blank, group in groupby(lines, key=lambda line: not line) if not blank]
    return groups if len(groups) != 1 else [[line] for line in groups[0]]


def read_subsets(path: Path) -> list[str]:
    """The name of each segment's subset, one per line. Raises UserError for a line without, or named `all`."""
    names = [line.strip() for line in lines_of(path)]
    for number, name in enumerate(names, start=1):
        if name in ("", "all"):
            raise UserError(f"{path}, line {number}: {'no subset' if not name else '`all` is the name of the whole'}")
    return names


def lines_of(path: Path) -> list[str]:
    """Lines that end at LF or CRLF only: str.splitlines would also end them at U+0085, U+2028 and others."""
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _json_references(path: Path) -> list[list[str]]:
    references = _json_values(path, "references")
    for number, texts in references:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserError(f'{path}, line {number}: no list of texts under the key "references"')
    return [texts for _, texts in references]


def _json_values(path: Path, key: str) -> list[tuple[int, Any]]:
    """Line number and value of the key in each record, None where there is none."""
    values = []
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from error
        values.append((number, record.get(key) if isinstance(record, dict) else None))
    return values
