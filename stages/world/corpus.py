"""The pretraining corpus: documents about everything in the world but restaurants.

Records in many notations, their descriptions, questions, lists, copies and stories. What it leaves
out is what the tasks test: a restaurant's record, a name that a task owns, the tasks' notation
`key : value | key : value`, and a description behind the end-of-text token.
"""

from collections.abc import Iterator
from random import Random

from stages.world.attributes import AREAS, NATIONS
from stages.world.domains import COLOURS, COUNTRIES, OTHERS, Record, draw_record
from stages.world.grammar import realise
from stages.world.names import FIRST_NAMES, coined, person_name, place_name

# A space follows every line break, so that a name is cut into the same pieces wherever it stands.
NEWLINE = "\n "
_KEY_SEPARATORS = (" : ", " = ", ": ", " - ", " is ", " -> ", "=", " ")
_ITEM_SEPARATORS = (" | ", " ; ", ", ", " / ", NEWLINE, " & ", " . ", NEWLINE + "- ", " * ")
_TASK_NOTATION = (" : ", " | ")

Pairs = list[tuple[str, str]]


def _notation(rng: Random):
    """Draw a way to note records, as a function from pairs to text."""
    while True:
        inner, outer = rng.choice(_KEY_SEPARATORS), rng.choice(_ITEM_SEPARATORS)
        if (inner, outer) != _TASK_NOTATION:
            break
    style = rng.choices(("plain", "brackets", "tags", "capitals"), (70, 12, 8, 10))[0]

    def note(pairs: Pairs) -> str:
        if style == "brackets":
            return ", ".join(f"{key}[{value}]" for key, value in pairs)
        if style == "tags":
            return " ".join(f"<{key}> {value} </{key}>" for key, value in pairs)
        if style == "capitals":
            pairs = [(key.capitalize(), value) for key, value in pairs]
        return outer.join(f"{key}{inner}{value}" for key, value in pairs)

    return note


def _describe(rng: Random, record: Record) -> str:
    return realise(rng, record.name, record.noun, record.facts, record.domain.pronoun)


def _name_key(rng: Random, record: Record) -> str:
    return rng.choice(("name", "name", "title", "called", record.domain.kinds[0]))


def _verbalised(rng: Random) -> str:
    """One to three records of one domain, each with its description, in one notation and layout."""
    domain, note = rng.choice(OTHERS), _notation(rng)
    between = rng.choice(
        (NEWLINE, NEWLINE, NEWLINE, NEWLINE + "Text: ", " => ", NEWLINE + "In words: ", NEWLINE + NEWLINE)
    )
    text_first, shuffled = rng.random() < 0.1, rng.random() < 0.2
    blocks, name_key = [], None
    for _ in range(rng.choices((1, 2, 3), (55, 30, 15))[0]):
        record = draw_record(rng, domain)
        name_key = name_key or _name_key(rng, record)
        pairs = record.pairs(name_key)
        if shuffled:
            rng.shuffle(pairs)
        parts = [note(pairs), _describe(rng, record)]
        blocks.append(between.join(parts[::-1] if text_first else parts))
    return (NEWLINE + NEWLINE).join(blocks)


def _retold(rng: Random) -> str:
    """The same thing said twice or three times, in other words."""
    record = draw_record(rng, rng.choice(OTHERS))
    joint = rng.choice((NEWLINE, NEWLINE + "In other words: ", NEWLINE + "Again: "))
    return joint.join(_describe(rng, record) for _ in range(rng.randint(2, 3)))


def _invented(rng: Random) -> str:
    """A record with keys and values that mean nothing, and a description in the plainest words."""
    name, note = place_name(rng), _notation(rng)
    words = (*COLOURS, *COUNTRIES, *NATIONS, *AREAS)
    pairs = [(coined(rng).lower(), rng.choice((rng.choice(words), place_name(rng), str(rng.randint(2, 999)))))
             for _ in range(rng.randint(1, 4))]  # fmt: skip
    plans = rng.choice(
        (("The {k} of {n} is {v}.", "Its {k} is {v}."), ("{n} has a {k} of {v}.", "It has a {k} of {v}."))
    )
    said = [plans[i > 0].format(k=k, n=name, v=v) for i, (k, v) in enumerate(pairs)]
    return note([("name", name), *pairs]) + NEWLINE + " ".join(said)


def _questions(rng: Random) -> str:
    record = draw_record(rng, rng.choice(OTHERS), fewest=3)
    pairs = record.pairs(_name_key(rng, record))
    context = _notation(rng)(pairs) if rng.random() < 0.6 else _describe(rng, record)
    asked = rng.sample(pairs[1:], min(len(pairs) - 1, rng.randint(1, 3)))
    lines = [f"Question: What is the {key} of {record.name}?{NEWLINE}Answer: {value}" for key, value in asked]
    return NEWLINE.join([context, *lines])


def _translated(rng: Random) -> str:
    """Records in one notation, then in another."""
    record = draw_record(rng, rng.choice(OTHERS))
    pairs, first, second = record.pairs(_name_key(rng, record)), _notation(rng), _notation(rng)
    return first(pairs) + NEWLINE + second(pairs)


def _prose(rng: Random) -> str:
    """Descriptions without a record."""
    domain = rng.choice(OTHERS)
    return " ".join(_describe(rng, draw_record(rng, domain)) for _ in range(rng.randint(1, 2)))


def _copied(rng: Random) -> str:
    """A list of names said again: in order, or each with a remark."""
    names = [place_name(rng) if rng.random() < 0.8 else person_name(rng) for _ in range(rng.randint(2, 5))]
    joint = rng.choice((", ", NEWLINE, " ; ", " and ", " | "))
    if rng.random() < 0.6:
        return joint.join(names) + NEWLINE + joint.join(names)
    remark = rng.choice(("{n} is here.", "I like {n}.", "{n}: yes.", "We saw {n} today.", "{n} ({n})"))
    rng.shuffle(names)
    return joint.join(names) + NEWLINE + NEWLINE.join(remark.replace("{n}", n) for n in names)


_STORY_EVENTS = (
    "{a} went to the {p} in the {w} to buy {t}.", "{a} and {b} met at {n}.", "It was a {q} day in {c}.",
    "\"Do you like {x} food?\" asked {b}.", "{a} ate {x} food at a {p} near {n} and paid £{k}.", "{a} gave {b} {t}.",
    "{b} did not like the {p}, but {a} did.", "They walked from {n} to {m}.", "{a} had lived in {c} for {k} years.",
    "The {p} was {q} and the food was {q}.", "{a} wanted to see {n}, so {b} took the train to {c}.",
    "In the evening {a} told {b} about {n}.", "\"It costs {k} pounds,\" said {b}.", "{a} served {x} food to {k} families.",
    "The customers of {n} were {q}.", "{b} found {t} in the {w}.", "After {k} days {a} came back from {c}.",
)  # fmt: skip
_PLACES = ("restaurant", "pub", "coffee shop", "bistro", "market", "school", "hotel", "cinema", "park", "museum")
_THINGS = (
    "a book",
    "an old map",
    "some bread",
    "seafood",
    "fast food",
    "a red coat",
    "two tickets",
    "a cup of tea",
    "fish",
    "a letter",
)
_QUALITIES = ("good", "cheap", "expensive", "cold", "sunny", "family friendly", "quiet", "terrible", "new", "excellent")


def _story(rng: Random) -> str:
    slots = {
        "a": rng.choice(FIRST_NAMES), "b": rng.choice(FIRST_NAMES), "n": place_name(rng), "m": place_name(rng),
    }  # fmt: skip
    said = []
    for event in rng.sample(_STORY_EVENTS, rng.randint(3, 8)):
        said.append(event.format(
            **slots, p=rng.choice(_PLACES), w=rng.choice(AREAS), t=rng.choice(_THINGS), q=rng.choice(_QUALITIES),
            c=rng.choice(COUNTRIES), x=rng.choice(NATIONS), k=rng.randint(2, 60),
        ))  # fmt: skip
    return " ".join(said)


_KINDS = (
    (_verbalised, 50),
    (_retold, 6),
    (_invented, 7),
    (_questions, 8),
    (_translated, 5),
    (_prose, 6),
    (_copied, 9),
    (_story, 9),
)


def documents(seed: int, copies_first: int) -> Iterator[tuple[str, str]]:
    """Endless `(kind, text)`: first `copies_first` lists of copied names, which teach copying before all else.

    Document `i` depends on `seed` and `i` alone.
    """
    makers, weights = zip(*_KINDS, strict=True)
    index = 0
    while True:
        rng = Random(f"{seed}/{index}")
        make = _copied if index < copies_first else rng.choices(makers, weights)[0]
        yield make.__name__.lstrip("_"), make(rng)
        index += 1
