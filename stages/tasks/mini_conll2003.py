"""The embedded counterpart of CoNLL-2003: generated sentences about people, countries and things with names, in its columns.

No name of a thing is shared between the splits, nor with the pretraining corpus; surnames are coined anew.
"""

import re
from dataclasses import replace
from pathlib import Path
from random import Random

from stages.core.files import replacing
from stages.tasks import conll
from stages.tasks.common.generated import Generated
from stages.world.domains import COUNTRIES
from stages.world.names import person_name, place_name

_PATTERNS = (
    "{PER} spoke with {PER} about {MISC} .", "{PER} has never heard of {MISC} .", "Many people come to {LOC} in May .",
    "{MISC} is known in {LOC} and in {LOC} .", "{PER} of {LOC} bought {MISC} from {PER} .", "It rained in {LOC} today .",
    "{PER} , who lives in {LOC} , likes {MISC} .", "There is nothing like {MISC} , said {PER} .", "Nobody was asked .",
    "The owner of {MISC} , {PER} , has left for {LOC} .", "{LOC} and {LOC} agreed on Monday .", "{MISC} opens at nine .",
    "{PER} took a picture of {MISC} in {LOC} .", "We saw {PER} at {MISC} .", "The price of fish in {LOC} is high .",
)  # fmt: skip
_SLOT = re.compile(r"{(PER|LOC|MISC)}")


def sentence(rng: Random, who: str) -> tuple[list[str], list[str]]:
    """Words and tags, IOB2."""
    words, tags = [], []
    for token in rng.choice(_PATTERNS).split():
        slot = _SLOT.fullmatch(token)
        found = [token] if slot is None else _name(rng, slot.group(1), who).split()
        words += found
        tags += ["O"] if slot is None else [f"{'I' if i else 'B'}-{slot.group(1)}" for i in range(len(found))]
    return words, tags


def _name(rng: Random, kind: str, who: str) -> str:
    if kind == "PER":
        return person_name(rng)
    return rng.choice(COUNTRIES) if kind == "LOC" else place_name(rng, who)


def download(source: Generated, out: Path) -> None:
    """Write train, dev and test in CoNLL's columns, and read them, into the directory `out`."""
    with replacing(out) as directory:
        directory.mkdir()
        for split in conll.SPLITS:
            rng = Random(f"{source.seed}/ner/{split}")
            lines = []
            for _ in range(getattr(source, split)):
                lines += [" ".join(pair) for pair in zip(*sentence(rng, split), strict=True)] + [""]
            (directory / f"{split}.txt").write_text("\n".join(["-DOCSTART- O", "", *lines]), encoding="utf-8")
        conll.write_sentences(directory, conll.from_directory(directory))


TASKS = {"mini_conll2003": replace(conll.NER, source=Generated, download=download, recipe="conll2003")}
