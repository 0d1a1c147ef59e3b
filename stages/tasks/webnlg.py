"""The WebNLG challenge of 2017 (Gardent et al. 2017): texts about one to seven triples.

Sources are linearized as Li & Liang's reader does it: ` | ` before every triple, ` : ` within it, underscores
kept: ` | Aarhus : leaderName : Jacob_Bundsgaard`.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UserError
from stages.core.record import Record
from stages.scoring.webnlg import WEBNLG
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common.download import Tree, fetch_tree

TEST = "test/testdata_with_lex.xml"
TRIPLE_PARTS = 3


@dataclass(frozen=True)
class Entry:
    """Triples with their texts: (comment of the annotators, text)."""

    category: str
    triples: list[tuple[str, ...]]
    texts: list[tuple[str, str]]


def download(source: Tree, out: Path) -> None:
    fetch_tree(source, out, ".xml")


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a file. Raises UserError naming file and entry for one without triples, a cut file, and others."""
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ElementTree.ParseError as error:
        raise UserError(f"{path}, line {error.position[0]}: not XML ({error})") from error
    for number, entry in enumerate(root.iter("entry"), start=1):
        where = f"{path}, entry {number} ({entry.get('eid')})"
        triples = [_triple(item.text or "", where) for item in entry.iterfind("modifiedtripleset/mtriple")]
        if not triples:
            raise UserError(f"{where}: no triples (modifiedtripleset/mtriple)")
        texts = [(lex.get("comment", ""), " ".join((lex.text or "").split())) for lex in entry.iterfind("lex")]
        yield Entry(entry.get("category", ""), triples, [(comment, text) for comment, text in texts if text])


def _triple(text: str, where: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(" | "))
    if len(parts) != TRIPLE_PARTS:
        raise UserError(f"{where}: a triple is `subject | property | object`, not {text!r}")
    return parts


def linearize_triples(triples: list[tuple[str, ...]], bars: bool = True) -> str:
    """` | ` before every triple; without `bars` they run together."""
    return "".join((" | " if bars else "") + " : ".join(triple) for triple in triples)


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split, one per entry, in the order of the sorted files.

    Training and dev texts are those that the annotators called good. In the test set all texts are references,
    and a record's group says whether its category was seen in training.
    """
    splits = {split: _training_records(raw, split) for split in ("train", "dev")}
    seen = {record.group for record in splits["train"]}
    splits["test"] = []
    for index, entry in enumerate(read_entries(raw / TEST)):
        if not entry.texts:
            raise UserError(f"{raw / TEST}, entry {index + 1}: no text")
        source = linearize_triples(entry.triples, bars=index > 0 or not options.authors_first_entry)
        group = "seen" if entry.category in seen else "unseen"
        splits["test"].append(Record(f"test-{index:05d}", source, [text for _, text in entry.texts], group))
    return splits


def _training_records(raw: Path, split: str) -> list[Record]:
    entries = [entry for path in sorted((raw / split).rglob("*.xml")) for entry in read_entries(path)]
    if not entries:
        raise UserError(f"{raw / split} holds no entries")
    records = []
    for index, entry in enumerate(entries):
        good = [text for comment, text in entry.texts if comment == "good"]
        if good:
            records.append(Record(f"{split}-{index:05d}", linearize_triples(entry.triples), good, entry.category))
    return records


SHOWN = Shown(
    figures=("BLEU_seen", "BLEU_unseen", "BLEU"),
    columns=tuple(f"{metric}{part}" for metric in ("BLEU", "METEOR", "TER") for part in ("_seen", "_unseen", "")),
)
TASKS = {"webnlg": Task(Tree, download, linearize, metrics=WEBNLG, shown=SHOWN)}
