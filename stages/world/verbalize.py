"""Verbalize records in the plain style, and check whether a text names the kind of thing."""

import re
from random import Random

from stages.world.domains import OTHERS, Domain, Record
from stages.world.grammar import TASKS_MANNER, Manner, realise


def domain_of(kind: str) -> Domain:
    """The domain that contains `kind`, a noun such as `hotel`. Raises StopIteration for an unknown one."""
    return next(domain for domain in OTHERS if kind in domain.kinds)


def says_kind(text: str, record: Record) -> bool:
    """Whether `text` contains the kind of the record as a whole word. True for a record without a kind."""
    return record.kind is None or re.search(rf"\b{record.kind}\b", text) is not None


def verbalize(rng: Random, record: Record, manner: Manner = TASKS_MANNER) -> str:
    """A description that says every fact once, and the kind.

    Some sentence plans of the grammar omit the kind: then another description is drawn.
    """
    while True:
        text = realise(rng, record.name, record.noun, record.facts, record.domain.pronoun, manner)
        if says_kind(text, record):
            return text
