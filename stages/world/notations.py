"""Notations: how a record is written down, and what separates it from its description.

The corpus draws from many notations and separators, but never uses those of the tasks, nor those reserved for
the probes, which ask whether a model follows a notation that only its context shows.
"""

import re
from collections.abc import Callable
from random import Random

from stages.world.names import coined

# A space follows every line break, so that a name is cut into the same pieces wherever it stands.
NEWLINE = "\n "

Pairs = list[tuple[str, str]]
Notation = Callable[[Pairs], str]

# Half of the notations use these separators, the others symbols drawn at random: a reader must infer the notation.
_KEY_SEPARATORS = (" : ", " = ", ": ", " - ", " is ", " -> ", "=", " ", " := ", "; ", " @ ")
_ITEM_SEPARATORS = (" | ", " ; ", ", ", " / ", NEWLINE, " & ", " . ", NEWLINE + "- ", " * ", " + ", " || ", "; ")
_SYMBOLS = "#=>-*+:@&;/<|,."
_BRACKETS = ("()", "[]", "<>", ("<<", ">>"), ("* ", " *"), ("- ", ""), ("# ", ""))
_TASKS = (" : ", " | ")
_PUNCTUATION = re.compile(r"\s*([£\-&,.()'])\s*")


def space_punctuation(value: str) -> str:
    """The value with a space on each side of its punctuation: `£20-25` becomes `£ 20 - 25`."""
    return " ".join(_PUNCTUATION.sub(r" \1 ", value).split())


def _underscored(key: str) -> str:
    return key.replace(" ", "_")


def _joined(key: str) -> str:
    first, *others = key.split(" ")
    return first + "".join(word.capitalize() for word in others)


_KEYS = (str, str, str, str.capitalize, str.title, str.upper, _underscored, _joined)


def _bracketed(pairs: Pairs) -> str:
    return ", ".join(f"{key}[{value}]" for key, value in pairs)


def _tagged(pairs: Pairs) -> str:
    return " ".join(f"<{key}> {value} </{key}>" for key, value in pairs)


def _called(pairs: Pairs) -> str:
    return " ".join(f"{key} ( {value} )" for key, value in pairs)


def _backwards(pairs: Pairs) -> str:
    return " , ".join(f"{value} < {key}" for key, value in pairs)


def joined_by(inner: str, outer: str) -> Notation:
    return lambda pairs: outer.join(f"{key}{inner}{value}" for key, value in pairs)


def symbols(rng: Random, least: int, most: int) -> str:
    return "".join(rng.choices(_SYMBOLS, k=rng.randint(least, most)))


def _drawn_form(rng: Random) -> Notation:
    """Symbols between keys and values and between the items, brackets around either, in any order."""
    inner, outer = (rng.choice((" {} ", " {} ", "{} ", "{}")).format(symbols(rng, 1, 2)) for _ in range(2))
    if rng.random() < 0.25:
        outer = NEWLINE + rng.choice(("", symbols(rng, 1, 2) + " "))
    around = (rng.choice(_BRACKETS) if rng.random() < 0.3 else ("", "") for _ in range(2))
    (key_left, key_right), (value_left, value_right) = around
    turned = rng.random() < 0.15

    def note(pairs: Pairs) -> str:
        items = [(f"{key_left}{key}{key_right}", f"{value_left}{value}{value_right}") for key, value in pairs]
        return outer.join(inner.join(item[::-1] if turned else item) for item in items)

    return note


def _usual_form(rng: Random) -> Notation:
    joined = joined_by(rng.choice(_KEY_SEPARATORS), rng.choice(_ITEM_SEPARATORS))
    return rng.choices((joined, _bracketed, _tagged, _called, _backwards), (70, 10, 8, 6, 6))[0]


_SAMPLE: Pairs = [("k", "v"), ("l", "w"), ("m", "x")]


def draw_notation(rng: Random) -> Notation:
    """Draw a notation: its form, the spelling of keys, and whether punctuation in values is spaced.

    Never one of the tasks or one of `RESERVED`.
    """
    held = {note(_SAMPLE) for note in (joined_by(*_TASKS), *(note for note, _ in RESERVED))}
    while True:
        form = _usual_form(rng) if rng.random() < 0.5 else _drawn_form(rng)
        if form(_SAMPLE) not in held:
            break
    spell, apart = rng.choice(_KEYS), rng.random() < 0.2
    return lambda pairs: form([(spell(key), space_punctuation(value) if apart else value) for key, value in pairs])


_SEPARATORS = (NEWLINE, NEWLINE, NEWLINE, NEWLINE + "Text: ", " => ", NEWLINE + "In words: ", NEWLINE + NEWLINE, " # ")


def draw_separator(rng: Random) -> str:
    """Draw what separates a record from its description: a common separator, symbols, or a coined word."""
    drawn = rng.random()
    if drawn < 0.6:
        return rng.choice(_SEPARATORS)
    before, after = rng.choice((" ", NEWLINE)), rng.choice((" ", NEWLINE))
    if drawn < 0.85:
        return before + symbols(rng, 1, 3) + after
    return before + coined(rng) + rng.choice(("", ":", ".")) + after


def _reserved(pairs: Pairs) -> str:
    return " @ ".join(f"{key} * {value}" for key, value in pairs)


def _reserved_too(pairs: Pairs) -> str:
    return " / ".join(f"[{key}] {value}" for key, value in pairs)


# (notation, separator) for the probes: made of characters of the corpus, combined as the corpus never does.
RESERVED: tuple[tuple[Notation, str], ...] = ((_reserved, " #*#* "), (_reserved_too, NEWLINE + "== => "))
