"""Readers of hypotheses and references for the command line. The file's suffix tells the form."""

import csv
import io
import json
from itertools import groupby
from pathlib import Path

from stages.errors import UserError
from stages.files import read_text


def read_hypotheses(path: Path) -> list[str]:
    """Hypotheses in order: of a .jsonl file the values of the key `hypothesis`, else one per line.

    An empty line of text is an empty hypothesis; one of JSON lines is nothing. Raises UserError.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        raise UserError(f"{path}: hypotheses are text, one per line, or .jsonl, not .csv")
    return _json_hypotheses(path) if suffix == ".jsonl" else _lines(read_text(path))


def read_references(path: Path) -> list[list[str]]:
    """References by segment: of a .csv file as the challenge publishes them, else of text. Raises UserError.

    Text: one reference per line, one or more blank lines between segments. Without any blank line it is
    one reference per segment, as the official script takes it.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        raise UserError(f"{path}: references are text, segments apart by a blank line, or .csv, not .jsonl")
    return _csv_references(path) if suffix == ".csv" else _text_references(path)


def _lines(text: str) -> list[str]:
    """Lines that end at LF or CRLF only: str.splitlines would also end them at U+0085, U+2028 and others."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _json_hypotheses(path: Path) -> list[str]:
    hypotheses = []
    for number, line in enumerate(_lines(read_text(path)), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from error
        hypothesis = record.get("hypothesis") if isinstance(record, dict) else None
        if not isinstance(hypothesis, str):
            raise UserError(f'{path}, line {number}: no text under the key "hypothesis"')
        hypotheses.append(hypothesis)
    return hypotheses


def _text_references(path: Path) -> list[list[str]]:
    by_blankness = groupby(_lines(read_text(path)), key=lambda line: not line.strip())
    segments = [list(lines) for blank, lines in by_blankness if not blank]
    return segments if len(segments) != 1 else [[line] for line in segments[0]]


def _csv_references(path: Path) -> list[list[str]]:
    """Columns `mr,ref`; the references of one MR are one segment, in the order of first appearance."""
    rows = csv.reader(io.StringIO(read_text(path)), strict=True)
    segments: dict[str, list[str]] = {}
    try:
        if [name.strip().lower() for name in next(rows, [])] != ["mr", "ref"]:
            raise UserError(f"{path}, line 1: the header must be mr,ref")
        for row in filter(None, rows):
            if len(row) != 2:
                raise UserError(f"{path}, line {rows.line_num}: {len(row)} columns, not the 2 of mr,ref")
            segments.setdefault(row[0], []).append(row[1])
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: not CSV ({error})") from error
    return list(segments.values())
