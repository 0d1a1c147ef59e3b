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


# How a description opens. The tasks use the first seven, the corpus all.
PLANS = ("is", "lead", "there", "that", "apposition", "question", "predicate",
         "visit", "one", "known", "colon", "called")  # fmt: skip
SUBJECTS = ("pronoun", "the kind", "this kind", "name")


@dataclass(frozen=True)
class Manner:
    """How a record is verbalized: weights of opening plans and of later subjects, and how much a sentence holds.

    The default is that of the tasks. The corpus has many; all use the same wordings.
    """

    plans: tuple[float, ...] = (30, 16, 10, 14, 10, 6, 14, 0, 0, 0, 0, 0)  # of PLANS
    subjects: tuple[float, ...] = (60, 16, 10, 14)  # of SUBJECTS
    shuffled: float = 0.5  # how often the facts are shuffled
    packed: int = 2  # adjectives before a noun, and phrases after it, at most
    most: int = 3  # predicates of a later sentence, at most
    also: float = 0.0  # how often a later sentence says "also"


TASKS_MANNER = Manner()


def only(plan: str, **others) -> Manner:
    """A manner that opens every description by `plan`, one of `PLANS`. `others` are further fields of `Manner`."""
    return Manner(plans=tuple(float(name == plan) for name in PLANS), **others)


def _noun_phrase(rng: Random, kind: str, facts: list[Fact], packed: int) -> str:
    # What a record names first stands next to the noun: "cheap Thai pub".
    adjectives = _take(rng, facts, "adj", packed)[::-1]
    return with_article(" ".join([*adjectives, kind, *_take(rng, facts, "pp", packed)]))


def _predicate(rng: Random, facts: list[Fact], most: int, also: float = 0.0) -> str:
    """One to `most` facts as predicates of one subject; the caller knows that there is one."""
    count = min(len(facts), rng.randint(1, most))
    said = [facts.pop(0).say(rng, "vp") for _ in range(count)]
    if also and said[0].startswith(("has ", "is ")) and rng.random() < also:
        verb, rest = said[0].split(" ", 1)
        said[0] = f"{verb} also {rest}" if verb == "is" else f"also {verb} {rest}"
    return " and ".join(said) if count < 3 else f"{', '.join(said[:-1])} and {said[-1]}"


def _opening(rng: Random, name: str, kind: str, facts: list[Fact], manner: Manner) -> str:
    plan = rng.choices(PLANS, manner.plans)[0]
    leads = [f for f in facts if f.can("lead")]
    if plan == "lead" and leads:
        facts.remove(leads[0])
        lead = capitalise(leads[0].say(rng, "lead"))
        return f"{lead}, {name} is {_noun_phrase(rng, kind, facts, manner.packed)}."
    if plan == "predicate" and len(facts) > 1:
        return f"{name} {_predicate(rng, facts, min(2, manner.most))}."
    phrase = _noun_phrase(rng, kind, facts, manner.packed)
    if plan == "that" and facts:
        return f"{name} is {phrase} {rng.choice(('that', 'which'))} {_predicate(rng, facts, min(2, manner.most))}."
    if plan == "apposition" and facts:
        return f"{name}, {phrase}, {_predicate(rng, facts, 1)}."
    if plan == "called" and facts:
        return f"The {kind} called {name} {_predicate(rng, facts, min(2, manner.most))}. It is {phrase}."
    fixed = {
        "there": "There is {p} called {n}.",
        "question": "Looking for {p}? Try {n}.",
        "visit": "Visit {n}, {p}.",
        "one": "One such {k} is {n}, {p}.",
        "known": "Do you know {n}? It is {p}.",
        "colon": "{n}: {p}.",
    }
    return fixed.get(plan, "{n} is {p}.").replace("{p}", phrase).replace("{k}", kind).replace("{n}", name)


def realise(
    rng: Random, name: str, kind: str, facts: list[Fact], pronoun: str = "It", manner: Manner = TASKS_MANNER
) -> str:
    """A description of one or more sentences that says every fact once.

    `kind` is the noun of the opening. `facts` come in the order of the record; `manner` says how often they are shuffled.
    """
    left = list(facts)
    if rng.random() < manner.shuffled:
        rng.shuffle(left)
    sentences = [_opening(rng, name, kind, left, manner)]
    subjects = (pronoun, f"The {kind}", f"This {kind}", name)
    while left:
        subject = rng.choices(subjects, manner.subjects)[0]
        sentences.append(f"{subject} {_predicate(rng, left, manner.most, manner.also)}.")
    return " ".join(sentences)
