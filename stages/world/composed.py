"""Domains of the corpus: those of `domains` that no task holds back, and composed ones.

A composed domain is a few kinds of thing of one class, with attributes drawn facet by facet. It never has a kind of
restaurant, nor a kind of the categories that `mini_webnlg` shows in its test set alone.
"""

from random import Random

from stages.world import facets
from stages.world.domains import OTHERS, Domain
from stages.world.facets import Facet
from stages.world.triples import UNSEEN

WRITTEN = tuple(domain for domain in OTHERS if domain not in UNSEEN.values())
_COMPOSED = 0.75  # of the domains drawn

_VISITED = (facets.price, facets.rating, facets.area, facets.nearby, facets.friendly, facets.offered)
_BUILT = (facets.related, facets.dated, facets.material, facets.amount, facets.country, facets.trait)
_LISTED: tuple[tuple[str, tuple[Facet, ...], dict], ...] = (  # kinds, facets to draw from, traits
    ("""bakery, brewery, farm, vineyard, nightclub, campsite, arcade, aquarium, observatory, stadium, ice rink, golf course,
     bowling alley, laundry, post office, bank, hospital, studio, workshop, nursery, playground, climbing hall, riding school,
     language school, music school, auction house, science centre, conference centre, youth club, community hall, tea garden,
     cookery school, wine cellar, dairy, butcher, barber, tailor, repair shop, canteen, casino, sauna, theme park, toy museum""",
     (*_VISITED, facets.sign, facets.amount, facets.trait), {"place": True}),
    ("""temple, mosque, monastery, abbey, lighthouse, windmill, fort, palace, mansion, villa, cottage, warehouse, factory, mill,
     office block, embassy, court house, town hall, prison, barn, stable, tunnel, canal, dam, fountain, monument, pier, gate""",
     (*_BUILT, facets.area, facets.nearby, facets.sign, facets.rating), {}),
    ("""table, sofa, wardrobe, bed, mirror, vase, carpet, kettle, teapot, knife, guitar, piano, violin, drum, telescope, radio,
     television, printer, ring, necklace, coat, jacket, hat, boot, bag, suitcase, tent, umbrella, board game, blanket, oven,
     fridge, heater, drill, ladder, mug, pen, desk, bench, stove, toy, backpack, glove, scarf""",
     (*_BUILT, facets.price, facets.rating, facets.sign), {}),
    ("tram, bus, lorry, van, tractor, motorbike, scooter, sledge, balloon, glider, helicopter, carriage, wagon, ambulance",
     (*_BUILT, facets.price, facets.rating, facets.nearby), {}),
    ("""story, symphony, opera, album, podcast, series, documentary, essay, dictionary, cookbook, atlas, diary, statue, mural,
     photograph, map, ballet, hymn, comic, magazine, report, speech, legend, musical, sketch, cartoon, guide book""",
     (facets.related, facets.related, facets.dated, facets.trait, facets.rating, facets.amount, facets.country), {}),
    ("hill, valley, desert, forest, glacier, volcano, waterfall, cave, canyon, bay, swamp, reef, town, hamlet, province, coast",
     (facets.amount, facets.country, facets.nearby, facets.trait, facets.friendly, facets.related, facets.rating), {}),
    ("""choir, charity, bank, airline, university, hockey team, chess club, theatre group, publisher, record label, law firm,
     ministry, party, union, laboratory, institute, agency, bureau, fire brigade, circus, guild, radio station, cooperative""",
     (facets.related, facets.dated, facets.country, facets.amount, facets.area, facets.rating, facets.offered), {}),
    ("""concert, festival, exhibition, match, race, conference, lecture, parade, fair, tournament, ceremony, expedition, course,
     seminar, auction, rally, picnic, carnival, walk, voyage, contest, game, show, trip, tour""",
     (*_VISITED, facets.dated, facets.related, facets.sign, facets.trait), {}),
    ("soup, cake, cheese, bread, tea, jam, sausage, pie, beer, juice, chocolate, salad, sauce, biscuit, stew, pudding",
     (facets.related, facets.price, facets.rating, facets.trait, facets.country, facets.amount), {}),
    ("""actor, architect, chemist, farmer, sailor, soldier, judge, lawyer, nurse, poet, composer, dancer, engineer, journalist,
     politician, cyclist, runner, explorer, inventor, historian, photographer, carpenter, gardener, sculptor, librarian""",
     (facets.trait, facets.country, facets.related, facets.related, facets.amount, facets.dated, facets.area),
     {"person": True}),
)  # fmt: skip
_CLASSES = [([kind.strip() for kind in kinds.split(",")], pool, traits) for kinds, pool, traits in _LISTED]
_KIND_KEYS = ("type", "kind", "category", "class", "sort", "what")


def compose(rng: Random) -> Domain:
    """A domain of one to four kinds of one class, with three to seven attributes of different keys."""
    kinds, pool, traits = rng.choices(_CLASSES, (6, 2, 2, 1, 2, 1, 1, 2, 1, 1))[0]
    drawn = rng.sample(pool, min(len(pool), rng.randint(3, 7)))
    found = {attribute.key: attribute for attribute in (facet(rng) for facet in drawn)}
    key = "job" if "person" in traits else rng.choice(_KIND_KEYS)
    attributes = tuple(attribute for attribute in found.values() if attribute.key != key)
    return Domain(tuple(rng.sample(kinds, rng.randint(1, 4))), attributes, kind_key=key, **traits)


def draw_domain(rng: Random) -> Domain:
    """Draw a domain of the corpus: composed, or one of `WRITTEN`."""
    return compose(rng) if rng.random() < _COMPOSED else rng.choice(WRITTEN)
