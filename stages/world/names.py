"""Names of places, things and people, drawn from an open grammar.

A hash of the name alone decides who may use it: the pretraining corpus (`CORPUS`), the probes of the base
models (`PROBE`) or one split of the mini tasks. No name of a task can therefore be in the corpus, nor a test
name in a train set, whatever the seeds.
"""

import hashlib
from random import Random

CORPUS, PROBE = "corpus", "probe"
# Share of all names, in sixteenths.
_SHARES = ((CORPUS, 10), (PROBE, 1), ("train", 2), ("dev", 1), ("test", 2))

ADJECTIVES = """Amber Ancient Autumn Blue Brass Bright Broken Bronze Copper Coral Crimson Crooked Crystal Dancing
 Distant Dusty Eastern Emerald Fading Flying Forgotten Gentle Gilded Golden Grand Green Hidden Hollow Humble Iron Ivory
 Jolly Laughing Little Lonely Lucky Marble Merry Misty Mossy Noble Northern Old Painted Pearl Plain Polished Proud
 Purple Quiet Rapid Red Royal Running Rusty Scarlet Secret Silent Silver Singing Sleeping Smiling Southern Spotted
 Steady Stone Sunny Tall Tiny Twisted Velvet Violet Wandering Western White Wild Winding Winter Wise Wooden Yellow
 """.split()
NOUNS = """Acorn Anchor Apple Arrow Badger Barrel Basket Bear Bell Birch Boat Bottle Branch Bridge Candle Castle Cedar
 Chestnut Cloud Clover Comet Compass Cottage Crane Crown Dolphin Dove Dragon Drum Eagle Elm Falcon Feather Fern Field
 Finch Flame Forest Fountain Fox Garden Gate Goose Grove Hammer Harbour Hare Hawk Heron Hill Holly Horse Island Ivy Jar
 Kettle Key King Kite Ladder Lamb Lantern Leaf Lemon Lily Lion Lotus Maple Market Meadow Mill Mirror Moon Oak Olive
 Orchard Otter Owl Palace Panda Parrot Pearl Pebble Pepper Pine Plum Pony Poppy Queen Quill Rabbit Raven Ribbon River
 Robin Rose Saddle Sail Salmon Seal Shell Ship Sparrow Spoon Squirrel Stag Star Stone Stork Sun Swan Table Thistle Tiger
 Tower Tree Tulip Turtle Valley Vine Violin Wagon Walnut Water Whale Wheel Willow Window Wolf Wren""".split()
_ONSETS = "B Br C Cr D Dr F Fl G Gr H J K L M N P Pl R S St T Tr V W Z".split()
_MIDDLES = "a e i o u ai ea ou".split()
_CODAS = "ll n nd r rk rt s st th m mb v l ck".split()
_ENDINGS = "a o i ton by ford ley wick more ham dale ini elli etti ero ara ona ing man well son".split()
FIRST_NAMES = """Alice Ben Clara Daniel Emma Felix Grace Henry Irene Jack Kate Leo Maria Nora Oscar Paul Rita Sam Tess Tom
 Uma Victor Wendy Anna Boris Carol David Ella Fred Gina Hugo Ida John Karen Lily Max Nina Oliver Peter Rosa""".split()


def coined(rng: Random) -> str:
    """A word that no list holds, such as `Brandelli` or `Tarkley`."""
    return rng.choice(_ONSETS) + rng.choice(_MIDDLES) + rng.choice(_CODAS) + rng.choice(_ENDINGS)


def _draw(rng: Random) -> str:
    adjective, noun, second = rng.choice(ADJECTIVES), rng.choice(NOUNS), rng.choice(NOUNS)
    word = coined(rng)
    return rng.choice([
        f"The {adjective} {noun}", f"The {adjective} {noun}", f"{adjective} {noun}", f"{noun} and {second}",
        f"The {noun} and {second}", f"{word}", f"{word} {noun}", f"The {word} {noun}", f"Café {word}",
        f"{word} {coined(rng)}", f"The {word}", f"{noun} of {word}",
    ])  # fmt: skip


def owner(name: str) -> str:
    """Who may use a name: `corpus`, `probe`, `train`, `dev` or `test`."""
    slot = hashlib.blake2b(name.encode(), digest_size=2).digest()[0] % 16
    for who, share in _SHARES:
        if slot < share:
            return who
        slot -= share
    raise AssertionError("the shares sum to sixteen")


def place_name(rng: Random, who: str = CORPUS) -> str:
    """Draw a place's or thing's name that `who` owns."""
    while True:
        name = _draw(rng)
        if owner(name) == who:
            return name


def person_name(rng: Random) -> str:
    """A first name and a surname; people occur in the corpus only."""
    return f"{rng.choice(FIRST_NAMES)} {coined(rng)}"
