"""Facets: each draws an attribute for a composed domain. Its key, its values and its wording vary.

A base model that has seen one `rating` learns that rating; one that has seen a thousand learns what a rating is.
"""

from collections.abc import Callable
from random import Random

from stages.world import attributes
from stages.world.attributes import AREAS, NATIONS, flag, link, measure, near, numbers, offer, quality
from stages.world.domains import COLOURS, COUNTRIES, MATERIALS
from stages.world.grammar import Attribute
from stages.world.names import ADJECTIVES, NOUNS, coined

Facet = Callable[[Random], Attribute]

RATERS = """guest visitor member viewer buyer student tourist client driver critic tester fan reader user listener player
 passenger patient owner tenant pupil parent traveller neighbour local expert jury public inspector staff editor sailor
 beginner gardener collector cyclist walker camper farmer pilot""".split()
# What a place offers: verbs, the participle, the noun that values stand before, values that stand alone.
_OFFERS = (
    (("serves", "offers", "provides"), "serving", "breakfast", ("full breakfast", "cold lunches", "hot meals")),
    (("serves", "pours", "offers"), "serving", "wine", ("cider", "cold drinks", "black tea", "lemonade")),
    (("sells", "offers", "stocks"), "selling", "rugs", ("candles", "seeds", "old coins", "used cars", "tools", "wool")),
    (("shows", "exhibits", "displays"), "showing", "paintings", ("stamps", "old weapons", "fossils", "model trains")),
    (("teaches", "offers", "gives"), "teaching", "lessons", ("chess", "sailing", "drawing", "first aid", "physics")),
    (("hosts", "offers", "holds"), "hosting", "concerts", ("debates", "weddings", "auctions", "quiz nights", "fairs")),
    (("makes", "produces", "offers"), "making", "cheese", ("bread", "honey", "soap", "furniture", "fast cars", "beer")),
    (("repairs", "handles", "services"), "repairing", "engines", ("roofs", "watches", "boats", "shoes", "radios")),
    (("plays", "offers", "presents"), "playing", "music", ("jazz", "rock music", "folk songs", "operas", "old films")),
    (("grows", "offers", "sells"), "growing", "vegetables", ("apples", "herbs", "tulips", "grapes", "pumpkins")),
    (("rents", "lends", "offers"), "renting", "costumes", ("bicycles", "canoes", "tents", "skis", "tractors")),
    (("prints", "publishes", "offers"), "printing", "newspapers", ("comics", "maps", "school books", "poems", "posters")),
    (("cooks", "offers", "serves"), "cooking", "dishes", ("soup", "street snacks", "fried eggs", "noodles", "pies")),
    (("stores", "keeps", "handles"), "storing", "goods", ("grain", "frozen fruit", "letters", "parcels", "timber")),
)  # fmt: skip
_OFFER_KEYS = ("goods", "offer", "service", "menu", "programme", "speciality", "main product", "what it offers", "range",
               "cuisine", "known for", "kitchen", "assortment", "activity", "business")  # fmt: skip
_PRICES = ("price", "cost", "fee", "rates", "charge", "price level", "price category", "ticket price", "rent", "budget",
           "expense", "tariff", "cost level", "price band", "admission")  # fmt: skip
_AREA_KEYS = ("area", "district", "location", "quarter", "side of town", "zone", "region", "borough", "neighbourhood",
              "part of town", "site", "place", "where", "city area", "position")  # fmt: skip
_NEAR_KEYS = ("beside", "close to", "next to", "neighbour", "landmark", "opposite", "by", "adjoining", "nearby",
              "nearest place", "vicinity", "next door", "not far from", "near", "close by")  # fmt: skip
_RATINGS = ("{r} rating", "{r} rating", "{r} score", "{r} review", "{r}s say", "rating", "rated by {r}s", "{r} opinion")
_FRIENDS = """pet dog child student tourist beginner cyclist wheelchair senior group artist visitor climber smoker baby
 vegan camper walker guest newcomer teenager horse neighbour bicycle couple""".split()
_SIGNS = (
    ("parking", "open on Sundays", "has parking", "has no parking"),
    ("cards", "cashless", "accepts cards", "takes cash only"),
    ("open late", "open late", "closes late", "closes early"),
    ("heated", "heated", "has heating", "has no heating"),
    ("listed", "historic", "is a listed building", "is not a listed building"),
    ("garden", "green", "has a garden", "has no garden"),
    ("reservation", "popular", "needs a reservation", "needs no reservation"),
    ("members only", "private", "is for members only", "is open to everybody"),
    ("indoors", "indoor", "is indoors", "is not indoors"),
    ("free entry", "free", "lets everybody in", "asks for money"),
)
_MEASURES = (
    ("rooms", "size", 4, 400, "has {v}"), ("seats", "capacity", 20, 3000, "seats {v}"),
    ("floors", "height", 2, 60, "has {v}"), ("people", "staff", 2, 900, "employs {v}"),
    ("metres", "length", 3, 4000, "is {v} long"), ("years", "age", 2, 900, "is {v} old"),
    ("kilograms", "weight", 1, 900, "weighs {v}"), ("pages", "length", 8, 900, "has {v}"), ("minutes", "duration", 5, 300, "takes {v}"),
    ("miles", "distance", 2, 700, "is {v} away"),
    ("pieces", "number of pieces", 2, 999, "consists of {v}"), ("litres", "volume", 1, 700, "holds {v}"),
    ("tables", "number of tables", 3, 90, "has {v}"), ("copies", "edition", 50, 9000, "sold {v}"), ("acres", "area", 2, 800, "covers {v}"),
)  # fmt: skip
_LINKS = ("made by", "owned by", "run by", "founded by", "named after", "inspired by", "sold by", "designed by", "led by",
          "restored by", "painted by", "paid for by", "managed by", "supplied by", "linked to", "preceded by",
          "followed by", "sponsored by", "built by", "praised by", "bought from", "taken over by")  # fmt: skip
_LINK_KEYS = {"made by": "maker", "owned by": "owner", "run by": "operator", "founded by": "founder", "led by": "leader",
              "designed by": "designer", "sold by": "seller", "built by": "builder", "managed by": "manager"}  # fmt: skip
_DATES = ("founded in", "opened in", "built in", "first seen in", "launched in", "closed in", "sold in", "finished in")
_QUALITIES = (
    ("style", ("modern", "rustic", "elegant", "plain", "old-fashioned", "baroque", "simple", "colourful")),
    ("mood", ("quiet", "lively", "sad", "cheerful", "romantic", "strange", "calm", "noisy")),
    ("reputation", ("famous", "unknown", "respected", "popular", "notorious", "forgotten")),
    ("condition", ("new", "old", "damaged", "clean", "dusty", "abandoned", "repaired")),
    ("size", ("small", "large", "tiny", "huge", "narrow", "wide")), ("colour", COLOURS), ("origin", NATIONS),
    ("speed", ("slow", "fast", "steady")), ("character", ("kind", "strict", "patient", "brave", "shy", "clever")),
)  # fmt: skip


def _some(rng: Random, values: tuple[str, ...], fewest: int = 3) -> tuple[str, ...]:
    return tuple(rng.sample(values, rng.randint(min(fewest, len(values)), len(values))))


def _coined_places(rng: Random) -> tuple[str, ...]:
    """Three coined values, which only the record can tell: `oak bridge`, `Tarkley`."""
    return tuple(rng.choice((f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}".lower(), coined(rng))) for _ in range(3))


def price(rng: Random) -> Attribute:
    noun = rng.choice(("prices", "rates", "fees", "charges"))
    return attributes.price(rng.choice(_PRICES), rng.choice((2, 4, 8, 10, 15, 25, 30, 50, 80, 200, 500)), noun)


def rating(rng: Random) -> Attribute:
    rater = rng.choice(RATERS)
    return attributes.rating(rng.choice(_RATINGS).replace("{r}", rater), rater)


def area(rng: Random) -> Attribute:
    values = _some(rng, AREAS) if rng.random() < 0.6 else (*rng.sample(AREAS, 2), *_coined_places(rng))
    return attributes.area(rng.choice(_AREA_KEYS), values)


def nearby(rng: Random) -> Attribute:
    return near(rng.choice(_NEAR_KEYS))


def friendly(rng: Random) -> Attribute:
    friend = rng.choice(_FRIENDS)
    many = "babies" if friend == "baby" else friend + "s"
    no = rng.choice((f"does not allow {many}", f"is not for {many}", f"has no room for {many}", "is for others only"))
    return flag(
        rng.choice((f"{friend} friendly", f"{friend} friendly", many)), f"{friend} friendly", f"welcomes {many}", no
    )


def sign(rng: Random) -> Attribute:
    return flag(*rng.choice(_SIGNS))


def offered(rng: Random) -> Attribute:
    verbs, doing, what, alone = rng.choice(_OFFERS)
    values = (*_some(rng, NATIONS, 4), *_some(rng, alone, 2))
    return offer(rng.choice((rng.choice(_OFFER_KEYS), what)), values, what, verbs, doing)


def amount(rng: Random) -> Attribute:
    unit, key, low, high, verb = rng.choice(_MEASURES)
    return measure(key, numbers(low, high, unit), verb)


def related(rng: Random) -> Attribute:
    participle = rng.choice(_LINKS)
    return link(rng.choice((_LINK_KEYS.get(participle, participle), participle)), participle)


def dated(rng: Random) -> Attribute:
    participle = rng.choice(_DATES)
    return link(rng.choice((participle, participle.split()[-2] + " year")), participle, numbers(1700, 2025))


def country(rng: Random) -> Attribute:
    participle = rng.choice(("found in", "based in", "made in", "born in", "known in"))
    return link(rng.choice(("country", "home", participle)), participle, _some(rng, COUNTRIES, 5))


def material(rng: Random) -> Attribute:
    return link(rng.choice(("material", "substance")), rng.choice(("made of", "built of", "covered with")), MATERIALS)


def trait(rng: Random) -> Attribute:
    key, values = rng.choice(_QUALITIES)
    return quality(key, *_some(rng, values))
