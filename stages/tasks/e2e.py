"""The E2E NLG challenge (Novikova et al. 2017): restaurants described from up to eight fields.

Sources are linearized as Li & Liang's own files are: fields renamed, in a fixed order, words of the
values set apart: `name : Blue Spice | Type : coffee shop | price : £ 20 - 25`.
"""

import csv
import io
import re
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import read_text
from stages.core.record import Record
from stages.scoring.e2e import E2E
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common.download import Files, fetch_files

SPLITS = {"train": "trainset.csv", "dev": "devset.csv", "test": "testset_w_refs.csv"}
# Field of the challenge -> field of the linearized source, in its order.
FIELDS = {
    "name": "name",
    "eatType": "Type",
    "food": "food",
    "priceRange": "price",
    "customer rating": "customer rating",
    "area": "area",
    "familyFriendly": "family friendly",
    "near": "near",
}
_FIELD = re.compile(r"([^\[\],]+)\[([^\[\]]*)\](?:, |$)")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+?(?=n't\b)|n't\b|'\w+|\w+|[^\w\s]")


def parse_mr(text: str) -> dict[str, str]:
    """Read a meaning representation, `name[Blue Spice], area[riverside]`, into fields.

    Raises ValueError with what is wrong with it.
    """
    fields: dict[str, str] = {}
    position = 0
    while position < len(text) or text.endswith(", "):
        match = _FIELD.match(text, position)
        if not match:
            raise ValueError(f"expected field[value] at {text[position : position + 30]!r}")
        key, value = match.groups()
        if key not in FIELDS:
            raise ValueError(f"unknown field {key!r}; known are {', '.join(FIELDS)}")
        if key in fields:
            raise ValueError(f"field {key!r} stands twice")
        fields[key], position = value, match.end()
    if not fields:
        raise ValueError("is empty")
    return fields


def tokenize_words(text: str) -> str:
    """Words and punctuation marks apart, one space between them: `£20-25` becomes `£ 20 - 25`."""
    return " ".join(_WORD.findall(text))


def linearize_mr(fields: dict[str, str]) -> str:
    """`field : value | field : value` with the authors' names and order of fields."""
    return " | ".join(f"{name} : {tokenize_words(fields[key])}" for key, name in FIELDS.items() if key in fields)


def read_rows(path: Path) -> list[tuple[dict[str, str], str]]:
    """All rows of an official file, duplicates too, as (fields, reference).

    Raises UserError naming file and line for a wrong header, a row of another width, an open quote
    or a meaning representation that does not parse.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows, line = [], 1
    try:
        header = next(reader, [])
        if header != ["mr", "ref"]:
            raise UserError(f"{path}, line 1: the header must be mr,ref, not {','.join(header)}")
        line = reader.line_num + 1
        for row in reader:
            if len(row) != 2:
                raise UserError(f"{path}, line {line}: {len(row)} columns, not 2 (mr,ref)")
            rows.append((parse_mr(row[0]), row[1]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: not CSV ({error})") from error
    except ValueError as error:
        raise UserError(f"{path}, line {line}: meaning representation {error}") from error
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split, one per distinct meaning representation in order of first appearance."""
    splits = {}
    for split, file in SPLITS.items():
        grouped: dict[str, Record] = {}
        for fields, reference in read_rows(raw / file):
            source = linearize_mr(fields)
            target = tokenize_words(reference) if options.tokenize_targets else " ".join(reference.split())
            fresh = Record(f"{split}-{len(grouped):05d}", source, [], name=fields.get("name"))
            grouped.setdefault(source, fresh).targets.append(target)
        splits[split] = list(grouped.values())
    return splits


def authors_files(splits: dict[str, list[Record]]) -> dict[str, str]:
    """The splits as the authors' own data files, `SRC||TGT ` by reference, words set apart, grouped by source."""
    names = {"train": "src1_train.txt", "dev": "src1_valid.txt", "test": "src1_test.txt"}
    return {
        names[split]: "".join(f"{r.source}||{tokenize_words(target)} \n" for r in records for target in r.targets)
        for split, records in splits.items()
    }


# Words by which a text speaks of a field, where its value need not stand in it letter by letter.
_WORDS = {
    "Type": r"restaurant|pub\b|bar\b|tavern|coffee|caf[eé]|tea room|place to eat|eatery|diner",
    "food": r"food|cuisine|dish|meal|menu|serv|chinese|english|british|french|indian|italian|pasta|pizza|japanese|sushi|"
    r"burger|curry",
    "price": r"pric|cost|cheap|expensive|afford|inexpensive|£|pound|value",
    "customer rating": r"rat(?:ed|ing|es)|stars?\b|review|customer|out of (?:5|five)|score|recommend|quality|satisf",
    "area": r"river|cent(?:re|er)\b|central|downtown|city",
    "family friendly": r"famil|kid|child|adult|grown",
}
_MENTIONS = {field: re.compile(words, re.IGNORECASE) for field, words in _WORDS.items()}


def mentioned(source: str, text: str) -> dict[str, bool]:
    """Whether a text speaks of each field of a linearized source. It may still give the field another value.

    Names (`name`, `near`) must stand in the text, in upper or lower case; for the other fields any of some words is
    enough. This is no official metric: it says which fields outputs leave out.
    """
    found = {}
    for part in source.split(" | "):
        field, _, value = part.partition(" : ")
        words = _MENTIONS.get(field)
        found[field] = value.casefold() in text.casefold() if words is None else bool(words.search(text))
    return found


SHOWN = Shown(
    figures=("BLEU", "ROUGE_L"),
    columns=("BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"),
    percent=("BLEU", "METEOR", "ROUGE_L"),
)
TASKS = {
    "e2e": Task(
        Files, fetch_files, linearize, metrics=E2E, shown=SHOWN, authors_files=authors_files, mentioned=mentioned
    )
}
