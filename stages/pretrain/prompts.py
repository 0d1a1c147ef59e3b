"""Prompts of the probes: lists of names, and records after worked examples. Their names belong to the probes alone."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from stages.world.composed import draw_domain
from stages.world.domains import Record, draw_record
from stages.world.names import PROBE, place_name
from stages.world.notations import NEWLINE, RESERVED, Notation, draw_notation, draw_separator
from stages.world.styles import Style

Drawn = TypeVar("Drawn")

_JOINTS = (", ", " ; ", " | ")


def drawn(seed: str, count: int, draw: Callable[[Random], Drawn], fits: Callable[[Drawn], bool]) -> list[Drawn]:
    """Draw by the generators `seed`/0, `seed`/1, ... until `count` results fit; return these."""
    found: list[Drawn] = []
    index = 0
    while len(found) < count:
        one = draw(Random(f"{seed}/{index}"))
        found += [one] if fits(one) else []
        index += 1
    return found


@dataclass(frozen=True)
class Listed:
    """Names to be said again, and what stands between them."""

    names: list[str]
    joint: str

    @property
    def prompt(self) -> str:
        return self.joint.join(self.names) + NEWLINE.rstrip(" ")

    def repeated(self, line: str) -> list[bool]:
        """Whether each name stands, letter by letter, in its place of the line."""
        said = [name.strip() for name in line.split(self.joint.strip())]
        return [name == again for name, again in zip(self.names, [*said, *[""] * len(self.names)], strict=False)]


def draw_list(rng: Random) -> Listed:
    """Two names of one to three words."""
    names: list[str] = []
    while len(names) < 2:
        name = place_name(rng, PROBE)
        if len(name.split()) <= 3 and name not in names:
            names.append(name)
    return Listed(names, rng.choice(_JOINTS))


@dataclass(frozen=True)
class Case:
    """A record to describe, after worked examples of its domain: records with descriptions, all in one notation."""

    shown: list[Record]
    asked: Record
    note: Notation
    separator: str
    seed: str  # of the examples' wordings

    def prompt(self, verbalize: Style) -> str:
        """The prompt, with the examples described by `verbalize`.

        It ends without a space: the space belongs to the first piece of what follows.
        """
        rng = Random(self.seed)
        parts = [self.note(record.pairs()) + self.separator + verbalize(rng, record) for record in self.shown]
        return (NEWLINE + NEWLINE).join([*parts, self.note(self.asked.pairs()) + self.separator]).rstrip(" ")


def draw_case(rng: Random, examples: tuple[int, ...], reserved: bool) -> Case:
    """Draw a case, of a drawn domain. The number of worked examples is one of `examples`.

    `reserved`: its notation and its separator are ones that the corpus never uses.
    """
    note, separator = rng.choice(RESERVED) if reserved else (draw_notation(rng), draw_separator(rng))
    domain = draw_domain(rng)
    *shown, asked = [draw_record(rng, domain, PROBE) for _ in range(rng.choice(examples) + 1)]
    return Case(shown, asked, note, separator, str(rng.random()))
