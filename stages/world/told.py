"""Records told in the ordinary style, and whether a text names the kind."""

import re
from random import Random

from stages.world.domains import OTHERS, Domain, Record
from stages.world.grammar import TASKS_MANNER, Manner, realise


def domain_of(kind: str) -> Domain:
    """The domain that has this kind of thing."""
    return next(domain for domain in OTHERS if kind in domain.kinds)


def says_kind(text: str, record: Record) -> bool:
    """Whether a text calls the thing what it is; true of a record that does not say what it is."""
    return record.kind is None or re.search(rf"\b{record.kind}\b", text) is not None


def tell(rng: Random, record: Record, manner: Manner = TASKS_MANNER) -> str:
    """A description that says every fact once, and the kind, which some sentence plans of the grammar omit."""
    while True:
        text = realise(rng, record.name, record.noun, record.facts, record.domain.pronoun, manner)
        if says_kind(text, record):
            return text
