"""Articles of the corpus, with a headline.

An article describes its main thing in one to three paragraphs, among paragraphs about other things and remarks of
people. Its plan is not that of `mini_xsum` (see `news`), nor is the choice of facts for the headline, which differs
from article to article.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from stages.world.composed import draw_domain
from stages.world.domains import COUNTRIES, Record, draw_record
from stages.world.grammar import Manner, with_article
from stages.world.names import FIRST_NAMES
from stages.world.notations import NEWLINE
from stages.world.verbalize import verbalize

REMARKS = (
    "{a} spoke with {b} about {n}.", "\"I have known {n} for {k} years,\" said {a}.", "{b} had never heard of {n}.",
    "Many people came to {c} that day.", "It rained in {c}.", "{a} and {b} agreed about {n}.", "{a} bought a ticket to {c}.",
    "\"What is {n}?\" asked {a}.", "\"There is nothing like {n} in {c},\" said {b}.", "{b} wrote {k} letters about {n}.",
    "After {k} weeks {a} changed {b}'s mind.", "The mayor of {c} thanked {a}.", "{a} took a picture of {n}.",
    "{b} laughed and said that {n} was {q}.", "Nobody asked {a}.", "They talked until the evening.", "That was {q} news for {a}.",
)  # fmt: skip
_MOODS = ("good", "bad", "strange", "wonderful", "old", "sad", "surprising")
_ONE_SENTENCE = Manner(plans=(30, 20, 10, 20, 10, 0, 10, 0, 0, 0, 0, 0))


@dataclass(frozen=True)
class Article:
    headline: str
    paragraphs: list[str]
    main: Record


def remarks(rng: Random, names: list[str], count: int) -> str:
    """`count` remarks of two people about the things of `names`, as one paragraph."""
    a, b = rng.sample(FIRST_NAMES, 2)
    slots = [{"n": rng.choice(names), "c": rng.choice(COUNTRIES), "k": rng.randint(2, 60), "q": rng.choice(_MOODS)}
             for _ in range(count)]  # fmt: skip
    return " ".join(said.format(a=a, b=b, **slot) for said, slot in zip(rng.sample(REMARKS, count), slots, strict=True))


def _headline(rng: Random, record: Record) -> str:
    """One sentence, or a title without a verb."""
    if record.facts and rng.random() < 0.25 and all(fact.can("pp") for fact in record.facts):
        said = " ".join([with_article(record.noun), *(fact.say(rng, "pp") for fact in record.facts)])
        return rng.choice((f"{record.name}, {said}", f"{record.name}: {said}"))
    while True:
        text = verbalize(rng, record, _ONE_SENTENCE)
        if ". " not in text:
            return text


def _cut(rng: Random, facts: list, parts: int) -> list[list]:
    """Consecutive parts, none of them empty."""
    cuts = [0, *sorted(rng.sample(range(1, len(facts)), parts - 1)), len(facts)]
    return [facts[a:b] for a, b in pairwise(cuts)]


def draw_article(rng: Random, who: str) -> Article:
    """Draw an article. `who` owns the names in it (see `names`)."""
    main = draw_record(rng, draw_domain(rng), who, fewest=3)
    parts = _cut(rng, main.facts, min(len(main.facts), rng.choices((1, 2, 3), (30, 50, 20))[0]))
    others = [draw_record(rng, draw_domain(rng), who) for _ in range(rng.choices((0, 1, 2), (25, 55, 20))[0])]
    held = [part[0] for part in parts] if rng.random() < 0.5 else rng.sample(main.facts, rng.randint(0, 3))
    paragraphs = [verbalize(rng, replace(main, facts=part)) for part in parts]
    # The first part leads in most articles; the other parts are shuffled with the rest.
    rest = [*paragraphs[1:], *(verbalize(rng, other) for other in others)]
    names = [main.name, *(other.name for other in others)]
    rest += [remarks(rng, names, rng.randint(1, 3)) for _ in range(rng.randint(0, 2))]
    rng.shuffle(rest)
    rest.insert(0 if rng.random() < 0.75 else rng.randint(0, len(rest)), paragraphs[0])
    return Article(_headline(rng, replace(main, facts=held)), rest, main)


def headlined(rng: Random, who: str) -> str:
    """An article as one text, with its headline in a line before or after it."""
    article = draw_article(rng, who)
    body = rng.choice((NEWLINE, NEWLINE, " ")).join(article.paragraphs)
    layout = rng.choices(
        ("{h}\n {b}", "Headline: {h}\n {b}", "{b}\n In short: {h}", "{b}\n Summary: {h}", "{h}\n \n {b}"),
        (45, 10, 20, 10, 15),
    )[0]
    return layout.replace("{h}", article.headline).replace("{b}", body)
