"""XSum (Narayan et al. 2018): BBC articles, each with the one sentence that sums it up.

A record's group is the topic that the address of its article names, where there is an address: `sport`, `world`,
`uk`. The Hugging Face hub's copy has no addresses.
"""

import json
import re
import sys
from pathlib import Path
from random import Random

from stages.core.errors import UserError
from stages.core.files import replacing, write_jsonl
from stages.core.record import Record
from stages.core.sections import Section, Whole
from stages.scoring.xsum import METRICS, XSUM
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common import hub
from stages.tasks.common.rows import grouped, in_parts
from stages.tasks.common.rows import read_rows as read_objects

SPLITS = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}  # with the names that others give them
KEYS = ("id", "url", "document", "summary")
TEXTS = ("document", "summary")
SEED_HINT = "set sources.xsum.split_seed to a number, to divide all rows 80:10:10"

_ARCHIVE = re.compile(r"^https?://web\.archive\.org/web/[^/]+/")
_SCHEME = re.compile(r"^\w+://")
_BBC = re.compile(r"(^|\.)bbc\.(co\.uk|com)(:\d+)?$")
_NO_SECTION = re.compile(r"\d+|hi|low|av|live")  # /1/hi/world/..., /news/av/uk-...
_WORD = re.compile(r"[a-z]+")


class XSumSource(Section):
    """A dataset of the Hugging Face hub at a revision, or a local jsonl file or directory `root`.

    `split_seed`: all rows are shuffled with it and divided into train, dev and test; null: the splits as published.
    """

    root: str | None
    dataset: str
    revision: str
    split_seed: Whole | None


def topic(url: str) -> str | None:
    """The topic of an article, in [a-z_]+, from its address; archived copies count as the original.

    At the BBC it is the first word of the section: `news/uk-england-london-12345` is uk, `sport/football/12345`
    sport, `1/hi/world/europe/12345.stm` world. Elsewhere it is the first part of the path.
    """
    address = re.split("[?#]", _SCHEME.sub("", _ARCHIVE.sub("", url.strip().lower())))[0]
    host, *parts = [part for part in address.split("/") if part] or [""]
    if not _BBC.search(host):
        return re.sub("[^a-z]+", "_", parts[0]).strip("_") or None if parts else None
    sections = [part for part in parts if not _NO_SECTION.fullmatch(part)]
    if len(sections) > 1 and sections[0] == "news":
        del sections[0]
    word = _WORD.match(sections[0]) if sections else None
    return word.group() if word else None


def read_rows(path: Path) -> list[dict]:
    """The rows of a jsonl file. Raises UserError naming file and line for one that is no article with a summary."""
    return read_objects(path, TEXTS, _check)


def _check(row: dict, where: str) -> None:
    for key in TEXTS:
        if not isinstance(row[key], str):
            raise UserError(f"{where}: {key} must be text, not {json.dumps(row[key])[:60]}")
        if not row[key].strip():
            raise UserError(f"{where}: {key} is empty")
        if any("\ud800" <= letter <= "\udfff" for letter in row[key]):
            raise UserError(f"{where}: {key} holds half of a surrogate pair, which is no character")
    if not isinstance(row.get("url"), str | None):
        raise UserError(f"{where}: url must be text, not {json.dumps(row['url'])[:60]}")


def download(source: XSumSource, out: Path) -> None:
    """Write train, dev and test.jsonl into the directory `out`, or nothing. Raises UserError."""
    if source.root is None:
        splits = _from_hub(source)
    elif Path(source.root).is_dir():
        splits = _from_directory(Path(source.root))
    elif Path(source.root).is_file():
        splits = _from_file(Path(source.root), by_split=source.split_seed is None)
    else:
        raise UserError(
            f"{source.root} does not exist: sources.xsum.root must be a jsonl file or a directory of train, dev "
            "and test.jsonl"
        )
    if source.split_seed is not None:
        splits = divide([row for split in SPLITS for row in splits.get(split, [])], source.split_seed)
    for split in SPLITS:
        if not splits.get(split):
            raise UserError(f"{source.root or source.dataset} has no rows of the {split} split: {SEED_HINT}")
    with replacing(out) as directory:
        directory.mkdir()
        for split in SPLITS:
            rows = ({key: row[key] for key in KEYS if key in row} for row in splits[split])
            write_jsonl(directory / f"{split}.jsonl", rows)


def divide(rows: list[dict], seed: int) -> dict[str, list[dict]]:
    """All rows shuffled and divided 80:10:10, at least one in each split. Copies of an article are in one split.

    Copies are rows whose documents are equal but for white space. Equal ids alone make none: files number their rows
    as they like. An article with copies goes to train, unless there are too few others for dev and test.
    Raises UserError for fewer than three articles.
    """
    shuffled = list(rows)
    Random(seed).shuffle(shuffled)
    articles = sorted(grouped(shuffled, lambda row: row["document"]), key=len)  # stable: one-row articles stay shuffled
    if len(articles) < len(SPLITS):
        raise UserError(
            f"{len(rows)} rows of xsum cannot be divided into train, dev and test: give at least 3 different articles"
        )
    tenth = max(1, len(rows) // 10)
    (dev, test), left = in_parts(articles, [tenth, tenth])
    return {"train": [row for article in left for row in article], "dev": dev, "test": test}


def _from_hub(source: XSumSource) -> dict[str, list[dict]]:
    instead = "set sources.xsum.root to a jsonl file or a directory of train, dev and test.jsonl"
    names = {split: names[-1] for split, names in SPLITS.items()}
    found = hub.load(source.dataset, None, source.revision, names.values(), instead)
    return {split: _with_texts(split, [dict(row) for row in found[name]]) for split, name in names.items()}


def _with_texts(split: str, rows: list[dict]) -> list[dict]:
    # A published row without text is not the user's to repair.
    kept = [row for row in rows if all((row.get(key) or "").strip() for key in TEXTS)]
    if len(kept) < len(rows):
        print(f"xsum {split}: {len(rows) - len(kept):,} rows without text left out", file=sys.stderr)
    return kept


def _from_directory(root: Path) -> dict[str, list[dict]]:
    splits = {}
    for split, names in SPLITS.items():
        files = [path for path in (root / f"{name}.jsonl" for name in names) if path.is_file()]
        if files:
            splits[split] = read_rows(files[0])
    return splits


def _from_file(path: Path, by_split: bool) -> dict[str, list[dict]]:
    """Rows under the split that they name, or else all under train. Raises UserError for another split's name."""
    rows = read_rows(path)
    if not by_split:
        return {"train": rows}
    splits = {split: [row for row in rows if row.get("split") in names] for split, names in SPLITS.items()}
    known = [name for names in SPLITS.values() for name in names]
    for number, row in enumerate(rows, start=1):
        if row.get("split") not in known:
            given = json.dumps(row.get("split"))[:60]
            raise UserError(f"{path}, row {number}: split must be {', '.join(known)}, not {given}: or {SEED_HINT}")
    return splits


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split, one per row in order, white space collapsed. Raises UserError."""
    return {split: _records(raw / f"{split}.jsonl", split) for split in SPLITS}


def _records(path: Path, split: str) -> list[Record]:
    records = []
    for index, row in enumerate(read_rows(path)):
        document, summary = (" ".join(row[key].split()) for key in TEXTS)
        name = f"{split}-{index:05d}" if row.get("id") is None else str(row["id"])
        records.append(Record(name, document, [summary], group=topic(row["url"]) if row.get("url") else None))
    return records


SHOWN = Shown(figures=METRICS, percent=METRICS)
TASKS = {"xsum": Task(XSumSource, download, linearize, metrics=XSUM, shown=SHOWN)}
