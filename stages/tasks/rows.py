"""Rows of a data set that is JSON lines in a directory, or on the Hugging Face hub."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from stages.errors import UserError
from stages.files import TextFile, parse_json, replacing, write_jsonl
from stages.sources import Lines, Rows
from stages.tasks import hub

# Splits with the names that data sets give them.
Names = dict[str, tuple[str, ...]]
NAMES: Names = {"train": ("train",), "validation": ("val", "validation", "dev")}


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
    source: Rows, folder: str, keys: tuple[str, ...], out: Path, of: Callable[[dict[str, Any]], Any] | None = None
) -> None:
    """Write train, dev and test.jsonl into the new directory `out`, or nothing. Raises UserError, also for a row that
    lacks one of `keys`. With `source.divide` there need be no training rows.

    Of a directory `source.root`, the files of its `folder` are taken, or its own. Rows with the same `of`, a text they
    are all about, are never divided between two splits.
    """
    needed = {split: names for split, names in NAMES.items() if split == "validation" or not source.divide}
    found = _found(source, folder, keys, needed)
    _write(divided(found.get("train", []), found["validation"], source, of), out)


def fetch_test_rows(source: Lines, folder: str, keys: tuple[str, ...], out: Path) -> None:
    """Write test.jsonl alone, the validation rows, into the new directory `out`. Raises UserError as `fetch_rows`."""
    found = _found(source, folder, keys, {"validation": NAMES["validation"]})
    _write({"test": found["validation"]}, out)


def _write(splits: dict[str, list[dict]], out: Path) -> None:
    with replacing(out) as directory:
        directory.mkdir()
        for split, rows in splits.items():
            write_jsonl(directory / f"{split}.jsonl", rows)


def _found(source: Lines, folder: str, keys: tuple[str, ...], needed: Names) -> dict[str, list[dict]]:
    if source.root is None:
        return _from_hub(source, keys, needed)
    return _from_directory(Path(source.root), folder, keys, needed)


def _from_directory(root: Path, folder: str, keys: tuple[str, ...], needed: Names) -> dict[str, list[dict]]:
    where = root / folder if (root / folder).is_dir() else root
    found = {}
    for split, names in needed.items():
        files = [path for path in (where / f"{name}.jsonl" for name in names) if path.is_file()]
        if not files:
            raise UserError(f"{where} holds no {' or '.join(f'{name}.jsonl' for name in names)}")
        found[split] = read_rows(files[0], keys)
    return found


def _from_hub(source: Lines, keys: tuple[str, ...], needed: Names) -> dict[str, list[dict]]:
    instead = "set sources.<task>.root to a directory of train.jsonl and val.jsonl"
    found = hub.load(source.dataset, source.config, source.revision, needed, instead)
    splits = {split: [dict(row) for row in rows] for split, rows in found.items()}
    for key in keys:
        if any(key not in row for rows in splits.values() for row in rows):
            raise UserError(f"{source.dataset} has rows without {key}: {instead}")
    return splits


def divided(
    train: list[dict], validation: list[dict], source: Rows, of: Callable[[dict[str, Any]], Any] | None = None
) -> dict[str, list[dict]]:
    """Rows by split. Labels of test sets are not published: the validation rows are the test split.

    With `source.divide`, they are divided 80:10:10 instead, and the training rows left out; else a share of the training
    rows, `source.dev_share`, is the dev split. Both are drawn at random, always alike. Raises UserError for too few rows.
    """
    if source.divide:
        train, dev, test = _drawn(validation, (0.8, 0.1, 0.1), of)
    else:
        (train, dev), test = _drawn(train, (1 - source.dev_share, source.dev_share), of), validation
    for split, rows in (("train", train), ("dev", dev), ("test", test)):
        if not rows:
            raise UserError(f"{source.root or source.dataset} has too few rows: none is left for the {split} split")
    return {"train": train, "dev": dev, "test": test}


def _drawn(rows: list[dict], shares: tuple[float, ...], of: Callable[[dict[str, Any]], Any] | None) -> list[list[dict]]:
    """Rows in parts of these shares, a little more or less where some go together; the last parts get one at least."""
    together: dict[Any, list[dict]] = {}
    for number, row in enumerate(rows):
        try:
            shared = number if of is None else of(row)
        except (KeyError, TypeError) as error:
            raise UserError(f"a row does not say what it is about ({error}): {json.dumps(row)[:200]}") from error
        together.setdefault(json.dumps(shared), []).append(row)
    left = list(together.values())
    Random("split").shuffle(left)
    parts: list[list[dict]] = []
    for share in shares[:0:-1]:  # the last part first: what is left is the first
        part: list[dict] = []
        while left and len(part) < max(1, round(share * len(rows))):
            part += left.pop()
        parts.append(part)
    return [[row for some in left for row in some], *reversed(parts)]
