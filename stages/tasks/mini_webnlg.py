"""The embedded counterpart of WebNLG: generated entries in the challenge's own files.

As there, half of the test entries are of categories that training has not shown. No name is shared between
the splits, nor with the pretraining corpus.
"""

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from random import Random

from stages.core.files import replacing
from stages.scoring.webnlg import WEBNLG
from stages.tasks import Task
from stages.tasks.common.generated import GeneratedTexts
from stages.tasks.webnlg import SHOWN, TEST, linearize
from stages.world.triples import SEEN, UNSEEN, Entry, draw_entry


def entries(split: str, categories: list[str], references: int, seed: int) -> list[Entry]:
    """One entry of each of `categories`, no two with the same triples."""
    rng = Random(f"{seed}/webnlg/{split}")
    made: dict[frozenset, Entry] = {}
    for category in categories:
        while True:
            entry = draw_entry(rng, category, split, references)
            if frozenset(entry.triples) not in made:
                break
        made[frozenset(entry.triples)] = entry
    return list(made.values())


def _in_turn(names: dict, count: int) -> list[str]:
    return [list(names)[i % len(names)] for i in range(count)]


def _half_unseen(count: int, seed: int) -> list[str]:
    """Half of them seen, half unseen, in random order."""
    categories = _in_turn(SEEN, count - count // 2) + _in_turn(UNSEEN, count // 2)
    Random(f"{seed}/webnlg/order").shuffle(categories)
    return categories


def write(path: Path, found: list[Entry]) -> None:
    """Write entries as the challenge does."""
    root = ElementTree.Element("benchmark")
    parent = ElementTree.SubElement(root, "entries")
    for number, entry in enumerate(found, start=1):
        size = str(len(entry.triples))
        element = ElementTree.SubElement(parent, "entry", category=entry.category, eid=f"Id{number}", size=size)
        for kind in ("original", "modified"):
            triples = ElementTree.SubElement(element, f"{kind}tripleset")
            for triple in entry.triples:
                ElementTree.SubElement(triples, f"{kind[0]}triple").text = " | ".join(triple)
        for lid, text in enumerate(entry.texts, start=1):
            ElementTree.SubElement(element, "lex", comment="good", lid=f"Id{lid}").text = text
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def download(source: GeneratedTexts, out: Path) -> None:
    """Write the files of the three splits into the directory `out`."""
    with replacing(out) as directory:
        for split, count in (("train", source.train), ("dev", source.dev)):
            files = defaultdict(list)
            for entry in entries(split, _in_turn(SEEN, count), source.references, source.seed):
                size = f"{len(entry.triples)}triples"
                files[f"{split}/{size}/{size}_{entry.category}_{split}_challenge.xml"].append(entry)
            for name, found in files.items():
                write(directory / name, found)
        categories = _half_unseen(source.test, source.seed)
        write(directory / TEST, entries("test", categories, source.references, source.seed))


TASKS = {"mini_webnlg": Task(GeneratedTexts, download, linearize, metrics=WEBNLG, shown=SHOWN, recipe="webnlg")}
