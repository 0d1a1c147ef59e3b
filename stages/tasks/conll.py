"""Named entities in CoNLL's columns (Tjong Kim Sang & De Meulder 2003): CoNLL-2003, CoNLL04, OntoNotes 5.0.

A line is a token and its columns, the tag last; a blank line or -DOCSTART- ends a sentence. Tags are O, B-TYPE and
I-TYPE, read as IOB1 or IOB2 and written as IOB2, in which each entity begins with B.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from stages.core.columns import columns_of
from stages.core.errors import UserError
from stages.core.files import TextFile, replacing, write_jsonl
from stages.core.record import Record
from stages.core.sections import Section
from stages.scoring.conll import CONLL
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common import hub
from stages.tasks.common.rows import read_rows

SPLITS = ("train", "dev", "test")
# What data sets call the files of a split, whatever their suffix.
_FILES = {
    "train": ("train", "eng.train"),
    "dev": ("dev", "valid", "validation", "testa", "eng.testa"),
    "test": ("test", "testb", "eng.testb"),
}
_SUFFIXES = ("", ".txt", ".conll", ".bio", ".iob", ".tsv")
_HUB = {"train": "train", "dev": "validation", "test": "test"}
_TAG = re.compile(r"O|[BI]-\S+")

Sentence = tuple[list[str], list[str]]  # words and tags


class Columns(Section):
    """CoNLL's columns in a directory `root`, or a dataset of the Hugging Face hub.

    `names` are the tags by number, for a dataset that does not say.
    """

    root: str | None
    dataset: str | None
    config: str | None
    revision: str
    names: list[str] | None


def read_sentences(path: Path) -> list[Sentence]:
    """Raises UserError that names the line of a token without a tag, or with another."""
    sentences = []
    for sentence in columns_of(TextFile(path)):
        for number, columns in sentence:
            if len(columns) < 2:
                raise UserError(
                    f"{path}, line {number}: {columns[0]!r} has no tag; a line is a token and its columns, the tag last"
                )
            if not _TAG.fullmatch(columns[-1]):
                raise UserError(f"{path}, line {number}: the tag {columns[-1]!r} is neither O nor B-TYPE nor I-TYPE")
        sentences.append(([columns[0] for _, columns in sentence], [columns[-1] for _, columns in sentence]))
    if not sentences:
        raise UserError(f"{path} has no sentence; a line is a token and its columns, the tag last")
    return sentences


def to_iob2(tags: list[str]) -> list[str]:
    """An I that stands behind no entity of its type begins one."""
    begun = []
    for before, tag in pairwise(["O", *tags]):
        begins = tag.startswith("I-") and before[1:] != tag[1:]
        begun.append(f"B{tag[1:]}" if begins else tag)
    return begun


def download(source: Columns, out: Path) -> None:
    """Write train, dev and test.jsonl, each row words and tags, into the directory `out`, or nothing."""
    found = _from_hub(source) if source.root is None else from_directory(Path(source.root))
    with replacing(out) as directory:
        directory.mkdir()
        write_sentences(directory, found)


def write_sentences(directory: Path, found: dict[str, list[Sentence]]) -> None:
    for split in SPLITS:
        rows = ({"words": words, "tags": to_iob2(tags)} for words, tags in found[split])
        write_jsonl(directory / f"{split}.jsonl", rows)


def from_directory(root: Path) -> dict[str, list[Sentence]]:
    """Sentences by split of a directory in CoNLL's columns. Raises UserError."""
    found = {}
    for split, names in _FILES.items():
        files = [path for name in names for suffix in _SUFFIXES if (path := root / f"{name}{suffix}").is_file()]
        if not files:
            raise UserError(
                f"{root} holds no file of the {split} split: {' or '.join(names)}, with .txt, .conll or .bio"
            )
        found[split] = read_sentences(files[0])
    return found


def _from_hub(source: Columns) -> dict[str, list[Sentence]]:
    if source.dataset is None:
        raise UserError(
            "params.yaml: sources.<task>: give root, a directory of train, dev and test in CoNLL's columns, or dataset"
        )
    instead = "set sources.<task>.root to a directory of train, dev and test in CoNLL's columns"
    found = hub.load(source.dataset, source.config, source.revision, _HUB.values(), instead)
    splits = {split: found[name] for split, name in _HUB.items()}
    return {
        split: [sentence for row in rows if (sentence := _sentence(row, _names(rows.features, source)))[0]]
        for split, rows in splits.items()
    }


def _names(features: Any, source: Columns) -> list[str] | None:
    """Tags by their number: `source.names`, else what the data set says; None: they are no numbers."""
    found = features.get("ner_tags", features.get("tags"))
    return source.names or getattr(getattr(found, "feature", None), "names", None)


def _sentence(row: dict[str, Any], names: list[str] | None) -> Sentence:
    """`tokens` with `ner_tags` or `tags`, by name or by number. Raises UserError for numbers without names."""
    words, tags = row.get("tokens"), row.get("ner_tags", row.get("tags"))
    if not isinstance(words, list) or not isinstance(tags, list):
        raise UserError(f"the data set has no lists of tokens and of ner_tags or tags, but {', '.join(row)}")
    if names is None and not all(isinstance(tag, str) for tag in tags):
        raise UserError(
            "the data set does not say what its tags' numbers mean: list them in sources.<task>.names of params.yaml"
        )
    known = dict(enumerate(names or ()))
    named = [tag if isinstance(tag, str) else known.get(tag, str(tag)) for tag in tags]
    if len(words) != len(named) or not all(_TAG.fullmatch(tag) for tag in named):
        raise UserError(
            f"the data set has a sentence of {len(words)} words with the tags {' '.join(named)}: each needs one, O, B-TYPE or I-TYPE"
        )
    return words, named


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """A record a sentence: its words, and as target their tags; as text both with spaces between."""
    splits = {}
    for split in SPLITS:
        rows = read_rows(raw / f"{split}.jsonl", ("words", "tags"))
        splits[split] = [
            Record(f"{split}-{number:05d}", " ".join(row["words"]), [" ".join(row["tags"])], words=row["words"])
            for number, row in enumerate(rows)
        ]
    return splits


def postprocess(hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
    """Tags of each word. Of a text that has fewer, the others are O; of one that has more, they do not count."""
    golds = [record.targets[0].split(" ") for record in records]
    found = []
    for text, gold in zip(hypotheses, golds, strict=True):
        tags = [tag if _TAG.fullmatch(tag) else "O" for tag in text.split(" ")]
        found.append([*tags, *["O"] * len(gold)][: len(gold)])
    return found, golds


SHOWN = Shown(figures=("F1", "precision", "recall"), percent=("F1", "precision", "recall"))
NER = Task(Columns, download, linearize, metrics=CONLL, shown=SHOWN, postprocess=postprocess, recipe="ner")
TASKS = {"conll2003": NER, "conll04": NER, "ontonotes": NER}
