"""DART v1.1.1 (Nan et al. 2021): texts about sets of triples, many of them from tables.

Sources are linearized as Li & Liang's reader does it: ` | ` between triples, ` : ` within them, the relation in
lower case: `Hawaii Five-O : notes : Episode: The Flight of the Jewels | [TABLECONTEXT] : title : Hawaii Five-O`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from stages.core.errors import UserError
from stages.core.files import TextFile, read_json, replacing, write_json
from stages.core.record import Record
from stages.core.tokens import tokenize_words
from stages.scoring.dart import DART
from stages.scoring.metric_set import Scorer
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common.download import Files, fetch_files

REFERENCES = "dart_reference"  # the folder of the official references
SPLITS = "splits.json"  # which file is which split
TRIPLE_PARTS = 3


def as_references(text: str) -> str:
    """Tokens apart, in lower case: so the official references were made from the texts, all 11,245 of them."""
    return tokenize_words(text).lower()


@contextmanager
def _scorer() -> Iterator[Scorer]:
    # The official metrics take text as it is, and the references are prepared: so are hypotheses.
    with DART.scorer() as score:
        yield lambda hypotheses, references: score([as_references(text) for text in hypotheses], references)


class DartFiles(Files):
    """Which of the files is which split (the train set may be read from the dev file, say)."""

    train: str
    dev: str
    test: str

    @model_validator(mode="after")
    def _known(self) -> "DartFiles":
        for split in ("train", "dev", "test"):
            if getattr(self, split) not in self.files:
                raise ValueError(f"{split} must be one of {', '.join(self.files)}, not {getattr(self, split)}")
        return self


@dataclass(frozen=True)
class Entry:
    """Triples, (subject, relation, object), with the texts about them."""

    triples: list[list[str]]
    texts: list[str]


def download(source: DartFiles, out: Path) -> None:
    """The files of the splits, the official references, and `splits.json`, which says what is what."""
    splits = {split: getattr(source, split) for split in ("train", "dev", "test")}
    references = [name for name in source.files if name.startswith(f"{REFERENCES}/")]
    with replacing(out) as directory:
        fetch_files(source, directory, [*splits.values(), *references], earlier=out)
        write_json(directory / SPLITS, splits)


def _list(value: Any, key: str, where: str) -> list:
    """The list under a key of the object `value`. Raises UserError."""
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be an object, not {json.dumps(value)[:60]}")
    if key not in value:
        raise UserError(f"{where}: key {key} is missing")
    if not isinstance(value[key], list):
        raise UserError(f"{where}: {key} must be a list, not {json.dumps(value[key])[:60]}")
    return value[key]


def _text(annotation: Any, where: str) -> str:
    if not isinstance(annotation, dict) or "text" not in annotation:
        raise UserError(f"{where}: key text is missing in annotations")
    if not isinstance(annotation["text"], str):
        raise UserError(f"{where}: text must be text, not {json.dumps(annotation['text'])[:60]}")
    return " ".join(annotation["text"].split())


def read_entries(path: Path) -> list[Entry]:
    """All entries of an official file, those without texts too; an empty text is none.

    Raises UserError naming the line of a cut file, or the entry without triples, with a missing key or a triple
    that is not three texts.
    """
    items = read_json(path)
    if not isinstance(items, list):
        raise UserError(f"{path}: must be a list of entries (tripleset, annotations)")
    entries = []
    for number, item in enumerate(items, start=1):
        where = f"{path}, entry {number}"
        triples = _list(item, "tripleset", where)
        if not triples:
            raise UserError(f"{where}: tripleset is empty")
        for triple in triples:
            right = isinstance(triple, list) and all(isinstance(part, str) for part in triple)
            if not right or len(triple) != TRIPLE_PARTS:
                raise UserError(f"{where}: a triple is [subject, relation, object], not {json.dumps(triple)[:60]}")
        texts = [_text(annotation, where) for annotation in _list(item, "annotations", where)]
        entries.append(Entry(triples, [text for text in texts if text]))
    return entries


def linearize_triples(triples: list[list[str]]) -> str:
    return " | ".join(f"{subject} : {relation.lower()} : {value}" for subject, relation, value in triples)


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split, one per tripleset that has texts, in the order of the files.

    The texts are the targets of train and dev; those of the test set are the official references. Raises UserError.
    """
    splits = {}
    for split, name in read_json(raw / SPLITS).items():
        entries = [entry for entry in read_entries(raw / name) if entry.texts]
        if not entries:
            raise UserError(f"{raw / name} has no entries with texts")
        targets = [entry.texts for entry in entries]
        if split == "test":
            targets = _official_references(raw, raw / name, targets)
        splits[split] = [
            Record(f"{split}-{index:05d}", linearize_triples(entry.triples), texts)
            for index, (entry, texts) in enumerate(zip(entries, targets, strict=True))
        ]
    return splits


def _official_references(raw: Path, test: Path, texts: list[list[str]]) -> list[list[str]]:
    """The references of each entry. Raises UserError where they are not those of the entries' texts."""
    references = [[text for text in segment if text] for segment in _reference_lines(raw)]
    if len(references) != len(texts):
        raise UserError(
            f"{raw / REFERENCES} has references for {len(references):,} triplesets, but {test} has {len(texts):,} "
            "with texts"
        )
    if [] in references:
        raise UserError(f"{raw / REFERENCES}, line {references.index([]) + 1}: no reference")
    pairs = zip(texts, references, strict=True)
    same = sum(as_references(ours[0]) == official[0] for ours, official in pairs)
    if same * 2 < len(texts):
        raise UserError(
            f"{raw / REFERENCES}: only {same:,} of {len(texts):,} lines are the texts of {test}, in its order"
        )
    return references


def _reference_lines(raw: Path) -> list[tuple[str, ...]]:
    """The lines of the reference files side by side. Raises UserError where they are not equally many."""
    first, *others = files = _reference_files(raw)
    for other in others:
        if len(other.lines) != len(first.lines):
            raise UserError(f"{other} has {len(other.lines)} segments, but {first} has {len(first.lines)}")
    return list(zip(*([line.strip() for line in file.lines] for file in files), strict=True))


def _reference_files(raw: Path) -> list[TextFile]:
    files = [TextFile(path) for path in sorted((raw / REFERENCES).glob("*"))]
    if not files:
        raise UserError(f"{raw / REFERENCES} holds no references: name them in sources.dart.files")
    return files


METRICS = replace(DART, scorer=_scorer)
SHOWN = Shown(figures=("BLEU", "METEOR"), columns=("BLEU", "METEOR", "TER", "MoverScore", "BERTScore", "BLEURT"))
TASKS = {"dart": Task(DartFiles, download, linearize, metrics=METRICS, shown=SHOWN)}
