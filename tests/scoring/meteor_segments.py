"""Segments for METEOR that are hard on it: recombined texts with odd characters, and what the jar makes of them."""

import random
import re
import subprocess
from collections.abc import Iterator

import numpy as np

from stages.scoring import meteor
from stages.scoring.meteor_paraphrases import Paraphrases

ODD = """
U.S. U.S.-based N.A.T.O. e.g. i.e Inc. No. a.b.c. 3,000.50 1,5 5% £20-30 1990's '90s don't DON'T it's o'clock rock'n'roll
dogs' ‘quoted’ “both” 'one' ``two'' co-operate mother-in-law – — -- --- ... .. . …  a..b x...y. DOTMULTI xDOTMULTIy DOTDOTMULTI
naïve Café ÉCOLE straße STRASSE ẞ ﬁsh İstanbul ıstanbul 5K Ångström Москва ΑΣ σ 中文 日本の 🙂 👩‍👩‍👧 x² ½ H₂O
a|b || ||| & &amp; <b> @home #tag
a_b snake_case's a/b (c) [d] {e} f:g h;i j? k! \\ ~ ^ * + = $5 €5 no\u00a0break thin\u2009space zero\u200bwidth soft\u00adhyphen
e\u0301 tab\x0bfeed \x1c next\x85line line\u2028separator \ud800 \ufeffmark SCORE EVAL -lrb- -rrb- 's n't 're
"""
ODD = re.split("[ \n]+", ODD.strip("\n"))


def segments(rng: random.Random, texts: list[str], pairs: list[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Hypotheses with their references, without end.

    All are recombined from `texts` and odd words. A hypothesis shares pieces with its references; `pairs` are paraphrases,
    of which one goes to a reference and the other to the hypothesis.
    """
    while True:
        shared = [piece for _ in range(rng.randint(1, 3)) for piece in _piece(rng, texts)]
        both = rng.sample(pairs, rng.randint(0, 3))
        references = []
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            ours = [rng.choice(pair) for pair in both]
            references.append(_text(rng, [*_piece(rng, texts), *shared, *ours]))
        theirs = [rng.choice(pair) for pair in both]
        yield _text(rng, [*_piece(rng, texts), *shared, *theirs]), references


def _piece(rng: random.Random, texts: list[str]) -> list[str]:
    """Up to eight words of a text."""
    words = rng.choice(texts).split(" ")
    start = rng.randrange(len(words))
    return words[start : start + rng.randint(1, 8)]


def _text(rng: random.Random, words: list[str]) -> str:
    words = [_changed(rng, word) for word in words]
    for _ in range(rng.choice((0, 0, 1, 2))):
        words.insert(rng.randint(0, len(words)), rng.choice(ODD))
    if rng.random() < 0.3:
        start = rng.randrange(len(words))
        words = words[start:] + words[:start]
    return rng.choice((" ", " ", " ", " ", "  ", "-", ". ", ", ")).join(words).replace("\n", " ").replace("\r", " ")


def _changed(rng: random.Random, word: str) -> str:
    """The word; one in ten in capitals, with another ending, or with punctuation."""
    change = rng.randrange(50)
    ends = {0: "s", 1: "ed", 2: "'s", 3: ",", 4: "."}
    return word.upper() if change == 5 else word + ends.get(change, "")


def some_pairs(rng: random.Random, paraphrases: Paraphrases, count: int) -> list[tuple[str, str]]:
    """Pairs of phrases from METEOR's table."""
    chosen = rng.sample(range(paraphrases.pairs.shape[1]), count)
    return [tuple(bytes(paraphrases.phrase(number)).decode() for number in paraphrases.pairs[:, at]) for at in chosen]


def by_the_jar(hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    """[segments, 23]: the statistics that METEOR gives with its own, whole table of paraphrases."""
    texts = [
        [text.replace("|||", "| | |") for text in (*segment, hypothesis)]
        for hypothesis, segment in zip(hypotheses, references, strict=True)
    ]
    lines = "".join(" ||| ".join(["SCORE", *segment]) + "\n" for segment in texts)
    command = meteor.command(meteor.table())
    done = subprocess.run(command, input=lines.encode(errors="replace"), capture_output=True, check=True)
    return np.array([line.split() for line in done.stdout.decode().splitlines()], dtype=np.float64)
