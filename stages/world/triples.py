"""Entries of triples with texts: about a thing of one category, sometimes also about a thing that it refers to."""

from dataclasses import dataclass, replace
from random import Random

from stages.world.attributes import near
from stages.world.domains import Domain, Record, draw_record
from stages.world.grammar import Fact
from stages.world.verbalize import domain_of, verbalize

Triple = tuple[str, str, str]

MOST = 7  # triples of an entry
CHAINED = 0.36  # of the entries that refer to another thing and have room for it: a quarter of all that refer to one

SEEN: dict[str, Domain] = {
    "Hotel": domain_of("hotel"),
    "Museum": domain_of("museum"),
    "Cinema": domain_of("cinema"),
    "School": domain_of("school"),
    "Park": domain_of("park"),
    "Building": domain_of("railway station"),
    "Work": domain_of("novel"),
    "Company": domain_of("football club"),
    "Landscape": domain_of("river"),
}
UNSEEN: dict[str, Domain] = {
    "Gym": domain_of("gym"),
    "Shop": domain_of("shop"),
    "Device": domain_of("phone"),
    "Transport": domain_of("ship"),
    "Animal": domain_of("bird"),
}
CATEGORIES = SEEN | UNSEEN
# What things refer to is of a seen category, so that training shows nothing of the unseen ones.
_PLACES = [domain for domain in SEEN.values() if domain.place]
_MAKER = "company"  # who made, owns, leads or described something


@dataclass(frozen=True)
class Entry:
    category: str
    triples: list[Triple]
    texts: list[str]  # distinct


def triples_of(record: Record) -> list[Triple]:
    return [(record.name, key, value) for key, value in record.pairs()[1:]]


def draw_entry(rng: Random, category: str, who: str, references: int) -> Entry:
    """Draw an entry of `category` with one to `MOST` triples and one to `references` texts. `who` owns its names."""
    records = _draw_records(rng, CATEGORIES[category], who)
    wanted = rng.randint(1, references)
    texts: dict[str, None] = {}
    for _ in range(20 * wanted):  # a single triple has few wordings
        texts[" ".join(verbalize(rng, record) for record in records)] = None
        if len(texts) == wanted:
            break
    return Entry(category, [triple for record in records for triple in triples_of(record)], list(texts))


def _draw_records(rng: Random, domain: Domain, who: str) -> list[Record]:
    record = _cut(rng, draw_record(rng, domain, who, fewest=MOST), rng.randint(1, MOST))
    references = [fact for fact in record.facts if not fact.attribute.values]
    room = MOST - len(triples_of(record))
    if not references or not room or rng.random() >= CHAINED:
        return [record]
    thing = _referred(rng, rng.choice(references), who)
    return [record, _cut(rng, thing, rng.randint(1, min(room, 2)))]


def _referred(rng: Random, fact: Fact, who: str) -> Record:
    """The thing whose name is the fact's value."""
    if fact.attribute == near(fact.attribute.key):
        return replace(draw_record(rng, rng.choice(_PLACES), who, fewest=MOST), name=fact.value)
    return replace(draw_record(rng, domain_of(_MAKER), who, fewest=MOST), name=fact.value, kind=_MAKER)


def _cut(rng: Random, record: Record, size: int) -> Record:
    """At most `size` triples of a record, in its order. Only a place may lose its kind."""
    fields = [*([record.kind] if record.kind else []), *record.facts]
    always = [] if record.domain.place else [0]
    others = range(len(always), len(fields))
    kept = always + sorted(rng.sample(others, min(size, len(fields)) - len(always)))
    return replace(
        record,
        kind=record.kind if record.kind and 0 in kept else None,
        facts=[field for i in kept if isinstance(field := fields[i], Fact)],
    )
