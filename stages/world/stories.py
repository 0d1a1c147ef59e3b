"""Stories: a few events among people, places and things, which state no record."""

from random import Random

from stages.world.attributes import AREAS, NATIONS
from stages.world.domains import COUNTRIES
from stages.world.names import FIRST_NAMES, place_name

_EVENTS = (
    "{a} went to the {p} in the {w} to buy {t}.", "{a} and {b} met at {n}.", "The day was {q} in {c}.",
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


def story(rng: Random) -> str:
    slots = {
        "a": rng.choice(FIRST_NAMES), "b": rng.choice(FIRST_NAMES), "n": place_name(rng), "m": place_name(rng),
    }  # fmt: skip
    said = []
    for event in rng.sample(_EVENTS, rng.randint(3, 8)):
        said.append(event.format(
            **slots, p=rng.choice(_PLACES), w=rng.choice(AREAS), t=rng.choice(_THINGS), q=rng.choice(_QUALITIES),
            c=rng.choice(COUNTRIES), x=rng.choice(NATIONS), k=rng.randint(2, 60),
        ))  # fmt: skip
    return " ".join(said)
