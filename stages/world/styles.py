"""Styles: recognizable ways to verbalize a record, and a check whether a text is in a given style."""

import re
from collections.abc import Callable
from random import Random

from stages.world.domains import Record
from stages.world.grammar import PLANS, SUBJECTS, Manner, only, realise

Style = Callable[[Random, Record], str]


def in_manner(manner: Manner) -> Style:
    def verbalize(rng: Random, record: Record) -> str:
        return realise(rng, record.name, record.noun, record.facts, record.domain.pronoun, manner)

    return verbalize


plain: Style = in_manner(Manner())


def lower(rng: Random, record: Record) -> str:
    return plain(rng, record).lower()


def terse(rng: Random, record: Record) -> str:
    """No sentence at all: `The Old Mill: hotel; near Elm Park; rated low by guests`."""
    said = [fact.say(rng, "pp" if fact.can("pp") else "vp") for fact in record.facts]
    return "; ".join([f"{record.name}: {record.noun}", *said])


def listed(rng: Random, record: Record) -> str:
    """All facts in one sentence: `The Old Mill is near Elm Park, is cheap and has 30 rooms, and it is a hotel.`"""
    said = [fact.say(rng, "vp") for fact in record.facts]
    return f"{record.name} {', '.join(said)}, and {record.domain.pronoun.lower()} is a kind of {record.noun}."


# One sentence a fact, in the order of the record.
short = in_manner(only("is", subjects=(1, 0, 0, 0), shuffled=0.0, packed=0, most=1))

STYLES: dict[str, Style] = {
    "plain": plain,
    "lower": lower,
    "terse": terse,
    "listed": listed,
    "short": short,
    "there": in_manner(only("there")),
    "question": in_manner(only("question")),
    "visit": in_manner(only("visit", also=0.5)),
    "known": in_manner(only("known", also=0.5)),
}
# A pattern that every text in the style matches; `{n}` is the name.
_SIGNS = {
    "lower": r"[^A-Z]+",
    "terse": r"{n}: [^.]+",
    "listed": r"{n} [^.]+, and (it|she) is a kind of [^.]+\.",
    "short": r"{n} is an? [\w ]+\.( (It|She) [^,]+\.)+",
    "there": r"There is an? .+ called {n}\..*",
    "question": r"Looking for an? .+\? Try {n}\..*",
    "visit": r"Visit {n}, an? .+",
    "known": r"Do you know {n}\? It is an? .+",
}
SIGNED = tuple(_SIGNS)


def follows(style: str, record: Record, text: str) -> bool:
    """Whether `text`, a description of `record`, is in `style`, one of `SIGNED`."""
    return re.fullmatch(_SIGNS[style].replace("{n}", re.escape(record.name)), text) is not None


def _drawn_manner(rng: Random) -> Manner:
    """A random manner: one to three openings, one or two subjects, an order, long or short sentences."""
    habits = rng.sample(range(len(PLANS)), rng.randint(1, 3))
    called = rng.sample(range(len(SUBJECTS)), rng.randint(1, 2))
    return Manner(
        plans=tuple(float(i in habits) for i in range(len(PLANS))),
        subjects=tuple(float(i in called) for i in range(len(SUBJECTS))),
        shuffled=rng.choice((0.0, 0.0, 0.5, 1.0)), packed=rng.choice((0, 1, 2, 2, 3)), most=rng.choice((1, 2, 3, 4)),
        also=rng.choice((0.0, 0.0, 0.4)),
    )  # fmt: skip


def draw_style(rng: Random) -> Style:
    """Draw the style of a document: half of them are plain, a quarter have a random manner, a quarter one of `STYLES`."""
    drawn = rng.random()
    if drawn < 0.5:
        return plain
    return in_manner(_drawn_manner(rng)) if drawn < 0.75 else rng.choice(list(STYLES.values()))
