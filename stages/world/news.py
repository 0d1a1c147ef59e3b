"""Short articles with one-sentence summaries, in the English of the corpus.

An article describes its main thing in two places, each with half of the thing's facts, and another thing in
one. The summary says what the main thing is, with the first fact (in the order of the record) of each half.
"""

import re
from dataclasses import dataclass, replace
from random import Random

from stages.world.domains import COUNTRIES, OTHERS, Record, draw_record
from stages.world.grammar import realise
from stages.world.names import FIRST_NAMES
from stages.world.verbalize import domain_of, says_kind, verbalize

# Topics, with the kinds of thing that their articles are about.
TOPICS: dict[str, tuple[str, ...]] = {
    "business": ("shop", "market", "boutique", "flower shop", "company", "newspaper", "garage", "taxi firm"),
    "uk": ("school", "college", "library", "railway station", "bridge", "tower", "castle", "church"),
    "world": ("river", "mountain", "lake", "island", "village"),
    "sport": ("football club", "sports club", "gym", "swimming pool", "dance school"),
    "health": ("clinic", "pharmacy", "spa", "salon"),
    "entertainment": ("cinema", "theatre", "concert hall", "film", "song", "play", "novel", "band", "orchestra"),
    "science": ("bird", "fish", "flower", "tree", "spacecraft", "camera", "laptop", "phone"),
    "travel": ("hotel", "inn", "guest house", "hostel", "airport", "beach", "zoo", "train", "ship"),
}
# Sentences of the people in an article. They state no fact of `{n}`, one of the two things.
_REMARKS = (
    "{a} told {b} about {n}.", "In the evening {a} told {b} about {n}.", "{a} wanted to see {n}.",
    "\"Do you like {n}?\" asked {b}.", "\"I like {n},\" said {a}.", "We saw {n} today.",
    "{b} did not like {n}, but {a} did.", "{a} and {b} came from {c} to see {n}.", "{a} had lived in {c} for {k} years.",
    "It was a {q} day in {c}.", "After {k} days {a} came back from {c}.", "{a} gave {b} {t}.",
    "\"It was a {q} day,\" said {b}.", "{b} took the train to {c}.",
)  # fmt: skip
_DAYS = ("good", "cold", "sunny", "quiet", "terrible")
_GIFTS = ("a book", "an old map", "two tickets", "a cup of tea", "a letter")

WORDS = range(80, 161)
SENTENCES = range(6, 13)
MAIN_FIRST = 0.75  # of the articles; others begin with the other thing


@dataclass(frozen=True)
class Article:
    document: str  # paragraphs, one a line
    summary: str
    main: Record
    other: Record
    held: tuple[int, int]  # the facts of `main` that the summary states


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?])\s+", text)


def draw_article(rng: Random, topic: str, who: str) -> Article:
    """An article on a topic, with names that `who` owns, within `WORDS` and `SENTENCES`."""
    while True:
        article = _draw(rng, topic, who)
        if len(article.document.split()) in WORDS and len(sentences(article.document)) in SENTENCES:
            return article


def _draw(rng: Random, topic: str, who: str) -> Article:
    kind = rng.choice(TOPICS[topic])
    main = replace(draw_record(rng, domain_of(kind), who, fewest=4), kind=kind)
    others = [domain for domain in OTHERS if domain is not main.domain and not domain.person]  # people have no owner
    other = draw_record(rng, rng.choice(others), who)
    half = (len(main.facts) + 1) // 2
    first, second = replace(main, facts=main.facts[:half]), replace(main, facts=main.facts[half:])

    verbalized = [verbalize(rng, first), verbalize(rng, other)]
    if rng.random() >= MAIN_FIRST:
        verbalized.reverse()
    remarks = _remarks(rng, main.name, other.name)
    cut = rng.randint(1, len(remarks) - 1)
    document = "\n".join(
        [verbalized[0], " ".join(remarks[:cut]), verbalized[1], " ".join(remarks[cut:]), verbalize(rng, second)]
    )
    held = replace(main, facts=[main.facts[0], main.facts[half]])
    return Article(document, _summary(rng, held, document), main, other, (0, half))


def _remarks(rng: Random, *names: str) -> list[str]:
    a, b = rng.sample(FIRST_NAMES, 2)
    return [
        remark.format(
            a=a, b=b, n=rng.choice(names), c=rng.choice(COUNTRIES), k=rng.randint(2, 60), q=rng.choice(_DAYS),
            t=rng.choice(_GIFTS),
        )
        for remark in rng.sample(_REMARKS, rng.randint(2, 5))
    ]  # fmt: skip


def _summary(rng: Random, held: Record, document: str) -> str:
    """One statement that says the kind and all facts of `held`, worded by the grammar."""
    while True:
        text = realise(rng, held.name, held.noun, held.facts, held.domain.pronoun)
        if len(sentences(text)) == 1 and says_kind(text, held) and text not in sentences(document):
            return text
