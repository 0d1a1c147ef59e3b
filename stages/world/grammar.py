"""The realisation grammar: how a record becomes English, in every domain alike.

A fact can be worded in up to four roles, each a list of templates over the value `{v}`:
`adj` before the noun ("cheap"), `pp` after it ("near {v}"), `vp` as a predicate ("serves {v} food")
and `lead` before the sentence ("Located near {v}"). Sentence plans combine roles; every fact of the
record is said exactly once. Corpus and tasks share these plans, as one English serves the web text
that GPT-2 read and the restaurants it is asked to describe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

Forms = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Attribute:
    """A key of a record: the values it takes (`()`: the name of another thing) and their wording by role."""

    key: str
    values: tuple[str, ...]
    forms: Forms
    # Values that are worded in their own way ("yes", "cheap"); others take `forms`.
    special: Mapping[str, Forms] = field(default_factory=dict)

    def forms_of(self, value: str) -> Forms:
        return self.special.get(value, self.forms)


@dataclass(frozen=True)
class Fact:
    attribute: Attribute
    value: str

    def can(self, role: str) -> bool:
        return bool(self.attribute.forms_of(self.value).get(role))

    def say(self, rng: Random, role: str) -> str:
        return rng.choice(self.attribute.forms_of(self.value)[role]).replace("{v}", self.value)


def with_article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiouAEIO" else "a ") + phrase


def capitalise(text: str) -> str:
    return text[0].upper() + text[1:]


def _take(rng: Random, facts: list[Fact], role: str, most: int) -> list[str]:
    """Remove up to `most` facts that have the role from `facts`, worded."""
    said = []
    for fact in [f for f in facts if f.can(role)][: rng.randint(0, most)]:
        facts.remove(fact)
        said.append(fact.say(rng, role))
    return said


def _noun_phrase(rng: Random, kind: str, facts: list[Fact]) -> str:
    adjectives = _take(rng, facts, "adj", 2)[
        ::-1
    ]  # what a record names first stands next to the noun: "cheap Thai pub"
    return with_article(" ".join([*adjectives, kind, *_take(rng, facts, "pp", 2)]))


def _predicate(rng: Random, facts: list[Fact], most: int) -> str:
    """One to `most` facts as predicates of one subject; the caller knows that there is one."""
    count = min(len(facts), rng.randint(1, most))
    said = [facts.pop(0).say(rng, "vp") for _ in range(count)]
    return " and ".join(said) if count < 3 else f"{said[0]}, {said[1]} and {said[2]}"


def _opening(rng: Random, name: str, kind: str, facts: list[Fact]) -> str:
    plan = rng.choices(("is", "lead", "there", "that", "apposition", "question", "predicate"),
                       (30, 16, 10, 14, 10, 6, 14))[0]  # fmt: skip
    leads = [f for f in facts if f.can("lead")]
    if plan == "lead" and leads:
        facts.remove(leads[0])
        lead = capitalise(leads[0].say(rng, "lead"))
        return f"{lead}, {name} is {_noun_phrase(rng, kind, facts)}."
    if plan == "predicate" and len(facts) > 1:
        return f"{name} {_predicate(rng, facts, 2)}."
    phrase = _noun_phrase(rng, kind, facts)
    if plan == "there":
        return f"There is {phrase} called {name}."
    if plan == "that" and facts:
        return f"{name} is {phrase} {rng.choice(('that', 'which'))} {_predicate(rng, facts, 2)}."
    if plan == "apposition" and facts:
        return f"{name}, {phrase}, {_predicate(rng, facts, 1)}."
    if plan == "question":
        return f"Looking for {phrase}? Try {name}."
    return f"{name} is {phrase}."


def realise(rng: Random, name: str, kind: str, facts: list[Fact], pronoun: str = "It") -> str:
    """A description of one to five sentences that says every fact once.

    `kind` is the noun the opening uses; `facts` in the order of the record, which is kept half of the time.
    """
    left = list(facts)
    if rng.random() < 0.5:
        rng.shuffle(left)
    sentences = [_opening(rng, name, kind, left)]
    while left:
        subject = rng.choices((pronoun, f"The {kind}", f"This {kind}", name), (60, 16, 10, 14))[0]
        sentences.append(f"{subject} {_predicate(rng, left, 3)}.")
    return " ".join(sentences)
