"""Rows of a data set that is JSON lines in a directory, or on the Hugging Face hub."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stages.core.errors import UserError
from stages.core.files import TextFile, parse_json, replacing, write_jsonl
from stages.core.sections import Section, to_number
from stages.tasks.common import hub

# Splits with the names that data sets give them.
Names = dict[str, tuple[str, ...]]
NAMES: Names = {"train": ("train",), "validation": ("val", "validation", "dev")}


class RowsSource(Section):
    """JSON lines in a directory `root`, or a dataset of the Hugging Face hub."""

    root: str | None
    dataset: str
    revision: str


class SplitRowsSource(RowsSource):
    """`divide`: the validation rows are divided into train, dev and test; else `dev_share` of the training rows is dev."""

    dev_share: Annotated[float, BeforeValidator(to_number), Field(gt=0, lt=1)]
    divide: bool


@dataclass(frozen=True)
class DataSet:
    """One data set of a source: its folder under `root`, its config on the hub (None: the only one), the keys of a row."""

    folder: str
    config: str | None
    keys: tuple[str, ...]


def read_rows(
    path: Path, keys: tuple[str, ...], check: Callable[[dict[str, Any], str], None] = lambda row, where: None
) -> list[dict[str, Any]]:
    """The rows of a file, each an object with `keys` that passes `check`, which is told where it stands.

    Raises UserError naming file and line for another, as `check` may.
    """
    rows = []
    for number, line in enumerate(TextFile(path).lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = parse_json(line, path, number)
        if not isinstance(row, dict):
            raise UserError(f"{where}: must be an object with {' and '.join(keys)}")
        for key in keys:
            if key not in row:
                raise UserError(f"{where}: key {key} is missing")
        check(row, where)
        rows.append(row)
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def fetch_rows(
    source: SplitRowsSource, data: DataSet, out: Path, of: Callable[[dict[str, Any]], Any] | None = None
) -> None:
    """Write train, dev and test.jsonl into the directory `out`, or nothing. Raises UserError, also for a row that
    lacks one of its keys. With `source.divide` there need be no training rows.

    Of a directory `source.root`, the files of the data set's folder are taken, or its own. Rows with the same `of`, a text they
    are all about, are never divided between two splits; without one, rows that are equal in all keys but the label.
    """

    def texts(row: dict[str, Any]) -> list[Any]:
        return [row[key] for key in data.keys if key != "label"]

    needed = {split: names for split, names in NAMES.items() if split == "validation" or not source.divide}
    found = _found(source, data, needed)
    _write(divided(found.get("train", []), found["validation"], source, of or texts), out)


def fetch_test_rows(source: RowsSource, data: DataSet, out: Path) -> None:
    """Write test.jsonl alone, the validation rows, into the directory `out`. Raises UserError as `fetch_rows`."""
    found = _found(source, data, {"validation": NAMES["validation"]})
    _write({"test": found["validation"]}, out)


def _write(splits: dict[str, list[dict]], out: Path) -> None:
    with replacing(out) as directory:
        directory.mkdir()
        for split, rows in splits.items():
            write_jsonl(directory / f"{split}.jsonl", rows)


def _found(source: RowsSource, data: DataSet, needed: Names) -> dict[str, list[dict]]:
    if source.root is None:
        return _from_hub(source, data, needed)
    return _from_directory(Path(source.root), data, needed)


def _from_directory(root: Path, data: DataSet, needed: Names) -> dict[str, list[dict]]:
    where = root / data.folder if (root / data.folder).is_dir() else root
    found = {}
    for split, names in needed.items():
        files = [path for path in (where / f"{name}.jsonl" for name in names) if path.is_file()]
        if not files:
            raise UserError(f"{where} holds no {' or '.join(f'{name}.jsonl' for name in names)}")
        found[split] = read_rows(files[0], data.keys)
    return found


def _from_hub(source: RowsSource, data: DataSet, needed: Names) -> dict[str, list[dict]]:
    instead = "set root in the task's section of sources to a directory of train.jsonl and val.jsonl"
    found = hub.load(source.dataset, data.config, source.revision, needed, instead)
    splits = {split: [dict(row) for row in rows] for split, rows in found.items()}
    for key in data.keys:
        if any(key not in row for rows in splits.values() for row in rows):
            raise UserError(f"{source.dataset} has rows without {key}: {instead}")
    return splits


def divided(
    train: list[dict], validation: list[dict], source: SplitRowsSource, of: Callable[[dict[str, Any]], Any]
) -> dict[str, list[dict]]:
    """Rows by split. Labels of test sets are not published: the validation rows are the test split.

    With `source.divide`, they are divided 80:10:10 instead, and the training rows left out; else a share of the training
    rows, `source.dev_share`, is the dev split. Both are drawn at random, always alike; rows with the same `of` stay
    together. Raises UserError for too few rows.
    """
    if source.divide:
        train, dev, test = _drawn(validation, (0.8, 0.1, 0.1), of)
    else:
        (train, dev), test = _drawn(train, (1 - source.dev_share, source.dev_share), of), validation
    for split, rows in (("train", train), ("dev", dev), ("test", test)):
        if not rows:
            given = source.root or source.dataset
            raise UserError(f"{given} has too few rows about different texts: none is left for the {split} split")
    return {"train": train, "dev": dev, "test": test}


def _drawn(rows: list[dict], shares: tuple[float, ...], of: Callable[[dict[str, Any]], Any]) -> list[list[dict]]:
    """Rows in parts of these shares, a little more or less where some go together; the last parts get one at least."""
    together = grouped(rows, of)
    Random("split").shuffle(together)
    # The last part first: what is left is the first.
    parts, left = in_parts(together[::-1], [max(1, round(share * len(rows))) for share in shares[:0:-1]])
    return [[row for group in left[::-1] for row in group], *reversed(parts)]


def grouped(rows: list[dict], of: Callable[[dict[str, Any]], Any]) -> list[list[dict]]:
    """Rows with the same `of`, a text or several, together; white space aside. In the order of their first ones.

    Raises UserError for a row that has no `of`.
    """
    together: dict[str, list[dict]] = {}
    for row in rows:
        try:
            shared = of(row)
        except (KeyError, TypeError) as error:
            raise UserError(f"a row does not say what it is about ({error}): {json.dumps(row)[:200]}") from error
        texts = shared if isinstance(shared, list) else [shared]
        key = json.dumps([" ".join(text.split()) if isinstance(text, str) else text for text in texts])
        together.setdefault(key, []).append(row)
    return list(together.values())


def in_parts(groups: list[list[dict]], sizes: list[int]) -> tuple[list[list[dict]], list[list[dict]]]:
    """Parts of these sizes, filled with whole groups in their order, and the groups that are left.

    A part is larger where its last group is, and smaller where groups are few: one is kept for each later part and
    one to be left. With fewer groups than that, the later ones get none.
    """
    left = groups[::-1]
    parts: list[list[dict]] = []
    for later, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        part: list[dict] = []
        while left and (not part or (len(part) < size and len(left) > later)):
            part += left.pop()
        parts.append(part)
    return parts, left[::-1]
