"""What a text says of a record: whether it names the kind, how often it states a fact."""

import re
from itertools import pairwise
from random import Random

from stages.world.domains import OTHERS, Domain, Record
from stages.world.grammar import Fact, capitalise, realise


def domain_of(kind: str) -> Domain:
    """The domain that has this kind of thing."""
    return next(domain for domain in OTHERS if kind in domain.kinds)


def says_kind(text: str, record: Record) -> bool:
    """Whether a text calls the thing what it is; true of a record that does not say what it is."""
    return record.kind is None or re.search(rf"\b{record.kind}\b", text) is not None


def times_said(text: str, fact: Fact) -> int:
    """How often a text states a fact, by any of its wordings; wordings that overlap are one statement.

    Names of other things can hold words that state something ("The Green Lion"): mask them first.
    """
    text = text.replace(" also ", " ")
    forms = fact.attribute.forms_of(fact.value).values()
    worded = {wording.replace("{v}", fact.value) for role in forms for wording in role}
    worded |= {capitalise(wording) for wording in worded}
    spans = sorted(
        found.span() for wording in worded for found in re.finditer(rf"(?<!\w){re.escape(wording)}(?!\w)", text)
    )
    return bool(spans) + sum(after >= max(end for _, end in spans[: i + 1])
                             for i, (_, (after, _)) in enumerate(pairwise(spans)))  # fmt: skip


def tell(rng: Random, record: Record) -> str:
    """A description that says every fact once, and the kind, which some sentence plans of the grammar omit."""
    while True:
        text = realise(rng, record.name, record.noun, record.facts, record.domain.pronoun)
        if says_kind(text, record):
            return text
