"""What the world holds: domains with their attributes, and records drawn from them.

`RESTAURANT` is the domain of the mini E2E task; the corpus draws from `OTHERS` and never from it.
"""

from dataclasses import dataclass
from random import Random

from stages.world.attributes import (
    AREAS,
    NATIONS,
    area,
    flag,
    link,
    measure,
    near,
    numbers,
    offer,
    price,
    quality,
    rating,
)
from stages.world.grammar import Attribute, Fact
from stages.world.names import CORPUS, person_name, place_name

COLOURS = ("red", "blue", "green", "white", "black", "grey", "yellow", "brown", "orange", "purple")
COUNTRIES = ("Italy", "France", "China", "India", "Japan", "England", "Spain", "Greece", "Mexico", "Turkey", "Norway")
MATERIALS = ("wood", "steel", "stone", "glass", "cotton", "leather", "paper", "silver", "plastic", "wool")
YEARS = numbers(1850, 2020)


@dataclass(frozen=True)
class Domain:
    """A kind of thing: its nouns, the attributes that a record draws from, and the key under which a record has the noun."""

    kinds: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    kind_key: str = "type"
    place: bool = False  # people visit it: a record may leave the kind open, the text then says "place"
    person: bool = False

    @property
    def pronoun(self) -> str:
        return "She" if self.person else "It"


@dataclass(frozen=True)
class Record:
    """A thing: its name, its kind (None: the record does not say) and its facts in the order of the record."""

    domain: Domain
    name: str
    kind: str | None
    facts: list[Fact]

    def pairs(self, name_key: str = "name") -> list[tuple[str, str]]:
        """(key, value) of the name, the kind if there is one, and each fact."""
        kind = [(self.domain.kind_key, self.kind)] if self.kind else []
        return [(name_key, self.name), *kind, *((f.attribute.key, f.value) for f in self.facts)]

    @property
    def noun(self) -> str:
        return self.kind or "place"


RESTAURANT = Domain(
    ("restaurant", "pub", "coffee shop", "bistro"),
    (
        offer("food", (*NATIONS[:6], "fast food", "seafood"), "food", ("serves", "offers", "provides"), "serving"),
        price("priceRange", 20),
        rating("customer rating", "customer"),
        area("area", AREAS[:4]),
        flag("familyFriendly", "family friendly", "welcomes families", "is for adults only"),
        near("near"),
    ),
    kind_key="eatType",
    place=True,
)

OTHERS: tuple[Domain, ...] = (
    Domain(("hotel", "inn", "guest house", "hostel"), (
        price("cost", 60, "rates"), rating("guest rating", "guest"), area("district"), near("beside"),
        flag("pets", "pet friendly", "welcomes pets", "does not allow pets"),
        measure("size", numbers(8, 300, "rooms")),
        quality("style", "modern", "quiet", "elegant", "rustic", "luxurious"),
    ), place=True),
    Domain(("museum", "gallery"), (
        offer("collection", (*NATIONS, "Roman", "Egyptian", "sculptures", "photographs"), "art",
              ("shows", "exhibits", "displays"), "showing"),
        price("ticket", 8), rating("visitor rating", "visitor"), area("area"), near("close to"),
        flag("child friendly", "child friendly", "welcomes children", "is not for children"),
        measure("opening year", YEARS, "opened in {v}"),
    ), place=True),
    Domain(("gym", "dance school", "swimming pool", "sports club"), (
        offer("classes", ("yoga", "boxing", "swimming", "tennis", "Latin", "African", "Spanish"), "dance classes",
              ("offers", "provides", "teaches"), "offering"),
        price("fee", 30, "fees"), rating("member rating", "member"), area("part of town"), near("next to"),
        flag("beginners", "beginner friendly", "welcomes beginners", "is for experts only"),
    ), place=True),
    Domain(("cinema", "theatre", "concert hall"), (
        offer("programme", (*NATIONS, "comedies", "thrillers", "musicals"), "films",
              ("shows", "presents", "offers"), "showing"),
        price("price", 10), rating("audience rating", "viewer"), area("quarter"), near("near"),
        measure("seats", numbers(50, 2000)),
        flag("wheelchairs", "wheelchair friendly", "welcomes wheelchairs", "has no lift"),
    ), place=True),
    Domain(("shop", "bookshop", "market", "boutique", "flower shop"), (
        offer("goods", ("books", "flowers", "shoes", "toys", "maps", *NATIONS[:6]), "fabrics",
              ("sells", "offers", "stocks"), "selling"),
        price("price level", 15), rating("buyer rating", "buyer"), area("location"), near("neighbour"),
        flag("open on Sundays", "open on Sundays", "opens on Sundays", "closes on Sundays"),
    ), place=True),
    Domain(("school", "college", "library"), (
        offer("subject", ("mathematics", "music", "history", "biology", *NATIONS[:6]), "lessons",
              ("teaches", "offers", "provides"), "offering"),
        price("tuition", 400, "fees"), rating("student rating", "student"), area("site"), near("opposite"),
        measure("founding year", YEARS, "was founded in {v}"),
        flag("public", "public", "is open to all", "is for members only"),
    ), place=True),
    Domain(("park", "garden", "zoo", "beach"), (
        offer("attraction", ("roses", "fountains", "birds", "monkeys", "palm trees", "old oaks"), "plants",
              ("has", "offers", "is known for"), "offering"),
        price("entry", 4), rating("tourist rating", "tourist"), area("side of town"), near("adjoining"),
        flag("dogs", "dog friendly", "welcomes dogs", "does not allow dogs"),
        measure("length", numbers(200, 4000, "metres")),
    ), place=True),
    Domain(("salon", "spa", "clinic", "pharmacy"), (
        offer("service", ("haircuts", "massages", "eye tests", "Turkish", "Japanese"), "baths",
              ("offers", "provides", "is known for"), "offering"),
        price("charge", 25, "charges"), rating("client rating", "client"), area("zone"), near("landmark"),
        flag("appointments", "busy", "needs an appointment", "needs no appointment"),
    ), place=True),
    Domain(("garage", "car park", "bike shop", "taxi firm"), (
        offer("speciality", ("repairs", "rentals", "electric cars", "German", "French", "Japanese"), "cars",
              ("offers", "provides", "handles"), "offering"),
        price("rate", 40, "rates"), rating("driver rating", "driver"), area("borough"), near("by"),
        flag("open at night", "open at night", "works at night", "closes at night"),
    ), place=True),
    Domain(("railway station", "airport", "bridge", "tower", "castle", "church"), (
        measure("height", numbers(10, 300, "metres"), "is {v} high"),
        measure("age", numbers(5, 900, "years"), "is {v} old"),
        link("architect", "designed by"), link("material", "built of", MATERIALS), area("town", AREAS),
        near("nearest place"),
        link("country", "found in", COUNTRIES),
    )),
    Domain(("novel", "poem", "play", "song", "film", "painting"), (
        link("author", "made by"), link("year", "published in", YEARS),
        quality("mood", "sad", "funny", "romantic", "famous", "forgotten"),
        rating("critics", "critic"), measure("length", numbers(2, 900, "pages")),
        link("topic", "inspired by", ("war", "love", "the sea", "travel", "childhood")),
        quality("origin", *NATIONS),
    )),
    Domain(("phone", "laptop", "camera", "lamp", "chair", "clock", "bicycle"), (
        price("price", 100), quality("colour", *COLOURS), link("material", "made of", MATERIALS),
        link("maker", "produced by"),
        measure("weight", numbers(1, 40, "kilograms"), "weighs {v}"), rating("test result", "tester"),
        flag("waterproof", "waterproof", "can get wet", "must stay dry"),
    )),
    Domain(("ship", "train", "car", "spacecraft", "plane"), (
        measure("speed", numbers(20, 900, "miles per hour"), "travels at {v}"), link("builder", "built by"),
        quality("colour", *COLOURS),
        measure("crew", numbers(2, 90, "people"), "carries {v}"), link("first year", "launched in", YEARS),
        link("owner", "owned by"),
        flag("in service", "still in service", "still runs", "no longer runs"),
    )),
    Domain(("river", "mountain", "lake", "island", "village"), (
        measure("height", numbers(20, 5000, "metres")), link("country", "found in", COUNTRIES), near("nearest town"),
        quality("character", "quiet", "remote", "famous", "wild", "sunny", "cold"),
        measure("population", numbers(100, 9000), "has {v} people"),
        flag("tourists", "popular with tourists", "attracts tourists", "is hard to reach"),
    )),
    Domain(("bird", "fish", "flower", "tree", "cat", "horse"), (
        quality("colour", *COLOURS),
        link("habitat", "found in", ("forests", "rivers", "deserts", "mountains", "gardens")),
        measure("size", numbers(2, 200, "inches")), quality("temper", "shy", "gentle", "noisy", "rare", "common"),
        link("discoverer", "described by"), flag("dangerous", "dangerous", "can be dangerous", "is harmless"),
    )),
    Domain(("football club", "band", "company", "newspaper", "orchestra"), (
        link("leader", "led by"), measure("founding year", YEARS, "was founded in {v}"),
        link("home", "based in", COUNTRIES),
        measure("staff", numbers(3, 600, "people"), "employs {v}"),
        quality("reputation", "famous", "respected", "unknown", "popular"),
        area("office"), rating("fan rating", "fan"),
    )),
    Domain(("painter", "writer", "doctor", "pilot", "teacher", "singer", "baker"), (
        quality("nationality", *NATIONS), link("birthplace", "born in", COUNTRIES),
        measure("age", numbers(20, 90, "years"), "is {v} old"),
        link("employer", "employed by"), quality("character", "kind", "strict", "famous", "young", "patient"),
        link("teacher", "taught by"), flag("married", "married", "has a family", "lives alone"),
    ), kind_key="job", person=True),
)  # fmt: skip


def draw_record(rng: Random, domain: Domain, who: str = CORPUS, fewest: int = 2) -> Record:
    """A record with `fewest` or more facts.

    `who` owns the names in it, its own and those it refers to (see `names`).
    """
    count = rng.randint(min(fewest, len(domain.attributes)), len(domain.attributes))
    chosen = sorted(rng.sample(range(len(domain.attributes)), count))
    facts = []
    for attribute in (domain.attributes[i] for i in chosen):
        value = rng.choice(attribute.values) if attribute.values else place_name(rng, who)
        facts.append(Fact(attribute, value))
    name = person_name(rng) if domain.person else place_name(rng, who)
    kind = None if domain.place and rng.random() < 0.15 else rng.choice(domain.kinds)
    return Record(domain, name, kind, facts)
