"""The kinds of attribute that domains are made of, each with its wording by role (see `grammar`)."""

from stages.world.grammar import Attribute, with_article

NATIONS = ("Italian", "French", "Chinese", "Indian", "Japanese", "English", "Spanish", "Greek", "Mexican", "Turkish")
AREAS = ("city centre", "riverside", "old town", "harbour", "suburbs", "market square", "university quarter")
_LEVELS = {"cheap": "low-priced", "moderate": "moderately priced", "high": "high-priced"}


def price(key: str, low: int, noun: str = "prices") -> Attribute:
    """Words, and amounts in pounds of which `low` is the smallest."""
    forms = {
        "pp": ("with prices of {v}", "with a price range of {v}", "in the {v} price range"),
        "vp": ("has a price range of {v}", "has prices of {v}", f"has {noun} of {{v}}", "costs {v}"),
        "lead": ("With a price range of {v}", "With prices of {v}"),
    }
    special = {
        value: {
            "adj": (adjective,) if value != "cheap" else (value, adjective),
            "pp": (f"with {value} prices", f"in the {value} price range"),
            "vp": (f"is {adjective}", f"has a {value} price range", f"has {value} {noun}"),
            "lead": (f"With {value} prices",),
        }
        for value, adjective in _LEVELS.items()
    }
    amounts = (f"less than £{low}", f"£{low}-{low + low // 4}", f"more than £{low + low // 2}")
    return Attribute(key, (*_LEVELS, *amounts), forms, special)


def rating(key: str, rater: str) -> Attribute:
    """Out of five, or a word."""
    phrase = with_article(f"{rater} rating of {{v}}")
    forms = {
        "pp": (f"with {phrase}", f"rated {{v}} by {rater}s"),
        "vp": (f"has {phrase}", f"is rated {{v}} by {rater}s", "has a rating of {v}"),
        "lead": (f"With {phrase}", f"Rated {{v}} by {rater}s"),
    }
    special = {}
    for value in ("low", "average", "high"):
        said = with_article(f"{value} {rater} rating")
        special[value] = {"pp": (f"with {said}",), "vp": (f"has {said}", f"is rated {value} by {rater}s"),
                          "lead": (f"With {said}",)}  # fmt: skip
    return Attribute(key, ("1 out of 5", "3 out of 5", "5 out of 5", "low", "average", "high"), forms, special)


def area(key: str, values: tuple[str, ...] = AREAS) -> Attribute:
    return Attribute(key, values, {
        "pp": ("in the {v}", "in the {v} area", "located in the {v}"),
        "vp": ("is located in the {v}", "is in the {v}", "can be found in the {v} area", "is in the {v} area"),
        "lead": ("In the {v}", "Located in the {v}", "In the {v} area"),
    })  # fmt: skip


def near(key: str) -> Attribute:
    return Attribute(key, (), {
        "pp": ("near {v}", "close to {v}", "located near {v}"),
        "vp": ("is near {v}", "is located near {v}", "is close to {v}", "can be found near {v}"),
        "lead": ("Near {v}", "Located near {v}", "Close to {v}"),
    })  # fmt: skip


def flag(key: str, adjective: str, yes: str, no: str) -> Attribute:
    """Yes or no: `adjective` can stand before the noun; `yes` and `no` are further predicates."""
    return Attribute(key, ("yes", "no"), {}, {
        "yes": {"adj": (adjective,), "vp": (f"is {adjective}", yes)},
        "no": {"vp": (f"is not {adjective}", no)},
    })  # fmt: skip


def offer(key: str, values: tuple[str, ...], what: str, verbs: tuple[str, ...], doing: str) -> Attribute:
    """What a place has for its guests: `serves {v} food`, `serving {v} food`.

    Values in lower case stand alone ("serves seafood"), capitalised ones before `what`.
    """

    def forms(thing: str) -> dict[str, tuple[str, ...]]:
        return {
            "pp": (f"{doing} {thing}", f"with {thing}"),
            "vp": tuple(f"{verb} {thing}" for verb in verbs),
            "lead": (f"{doing.capitalize()} {thing}",),
        }

    alone = {value: forms("{v}") for value in values if value.islower()}
    return Attribute(key, values, {"adj": ("{v}",), **forms("{v} " + what)}, alone)


def quality(key: str, *values: str) -> Attribute:
    """A plain adjective."""
    return Attribute(key, values, {"adj": ("{v}",), "vp": ("is {v}",)})


def measure(key: str, values: tuple[str, ...], *verbs: str) -> Attribute:
    """Whatever something has `a key of value` of; `verbs` are predicates of its own."""
    phrase = with_article(f"{key} of {{v}}")
    return Attribute(
        key, values, {"vp": (f"has {phrase}", *verbs), "pp": (f"with {phrase}",), "lead": (f"With {phrase}",)}
    )


def link(key: str, participle: str, values: tuple[str, ...] = ()) -> Attribute:
    """A relation to another thing or to one of `values`: `written by {v}`."""
    said = f"{participle} {{v}}"
    return Attribute(key, values, {"pp": (said,), "vp": (f"was {said}", f"is {said}"), "lead": (said.capitalize(),)})


def numbers(low: int, high: int, unit: str = "") -> tuple[str, ...]:
    step = max(1, (high - low) // 40)
    return tuple(f"{n} {unit}".strip() for n in range(low, high, step))
