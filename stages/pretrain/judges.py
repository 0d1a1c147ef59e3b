"""Judges of a description: does it say every fact of its record, once, and nothing else?"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stages.world.domains import Record
from stages.world.grammar import Fact, capitalise
from stages.world.verbalize import says_kind

_NAME = r"(?:The |Café )?[A-Z]\w*"  # how any name begins
_OTHER = "other"  # stands for whatever name an attribute's wording is followed by

Span = tuple[int, int]
Statement = tuple[str, str]  # an attribute's key and a value


@dataclass(frozen=True)
class Verdict:
    """The verdict on one description. Pairs are (found, asked for)."""

    first_name: bool
    second_names: tuple[int, int]
    fields: tuple[int, int]  # facts, and the kind where the record says it
    nothing_twice: bool
    added: bool


def judge(text: str, record: Record) -> Verdict:
    """Judge a description of `record` by the wordings of the grammar, whatever its order and its sentence plans.

    `added`: the text states an attribute of the domain that the record lacks, or another value of one that it has. A
    wrong name in place of a second name counts as a missing second name, not as added.
    """
    said = statements(text, record)
    facts = [said.pop((fact.attribute.key, fact.value), 0) for fact in record.facts]
    names = [mentions(text, fact.value) > 0 for fact in record.facts if not fact.attribute.values]
    kinds = [bool(text) and says_kind(text, record)] if record.kind else []
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.?!])\s", text) if sentence.strip()]
    return Verdict(
        first_name=mentions(text, record.name) > 0,
        second_names=(sum(names), len(names)),
        fields=(sum(times > 0 for times in facts) + sum(kinds), len(facts) + len(kinds)),
        nothing_twice=max(facts, default=0) < 2 and len(set(sentences)) == len(sentences),
        added=bool(said),
    )


def mentions(text: str, name: str) -> int:
    """How often a text holds a name letter by letter, not counting longer words that begin or end with it."""
    return len(_places(text, name))


def _places(text: str, words: str) -> list[Span]:
    if words not in text:  # most are not, and looking for them so is fast
        return []
    return [found.span() for found in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]


def statements(text: str, record: Record) -> dict[Statement, int]:
    """How often a text states what: the record's facts and whatever else its domain can state.

    Of overlapping wordings the one that begins first counts, the longest of these: "is not pet friendly" does not
    say "pet friendly", nor does a name, "The Green Lion", say a colour. Where two facts share a wording, the
    record's own count first. Which thing a statement is about is not checked.
    """
    text = re.sub(r"\balso ", "", text)  # "is also near": the grammar puts it inside wordings
    found: dict[Span, list[Statement]] = {place: [] for place in _places(text, record.name)}
    own = [(fact.attribute.key, fact.value) for fact in record.facts]
    for fact in [*record.facts, *_others(record)]:
        for place in _stated(text, fact):
            found.setdefault(place, []).append((fact.attribute.key, fact.value))
    times: dict[Statement, int] = defaultdict(int)
    end = 0
    for (start, stop), said in sorted(found.items(), key=lambda one: (one[0][0], -one[0][1])):
        if start >= end:
            end = stop
            if said:
                times[min(said, key=lambda one: (one not in own, times.get(one, 0)))] += 1
    return dict(times)


def _others(record: Record) -> Iterator[Fact]:
    """What else can be stated in the record's domain; of the attributes of names, those that the record lacks."""
    held = {fact.attribute.key for fact in record.facts}
    for attribute in record.domain.attributes:
        others = attribute.values or ((_OTHER,) if attribute.key not in held else ())
        yield from (fact for value in others if (fact := Fact(attribute, value)) not in record.facts)


def _stated(text: str, fact: Fact) -> Iterator[Span]:
    wordings = {wording for role in fact.attribute.forms_of(fact.value).values() for wording in role}
    for wording in sorted(wordings | {capitalise(wording) for wording in wordings}):
        if fact.value == _OTHER and not fact.attribute.values:
            pattern = re.escape(wording).replace(re.escape("{v}"), _NAME)
            yield from (found.span() for found in re.finditer(rf"(?<!\w){pattern}", text))
        else:
            yield from _places(text, wording.replace("{v}", fact.value))


def share(found: int, asked: int) -> float | None:
    """Rounded to four digits; None where nothing was asked for."""
    return round(found / asked, 4) if asked else None


def measures(verdicts: Iterable[Verdict]) -> dict[str, float | None]:
    """Shares: of names and fields among all that the records hold, and of descriptions."""
    verdicts = list(verdicts)
    count = len(verdicts)
    return {
        "first_name": share(sum(one.first_name for one in verdicts), count),
        "second_name": share(*(sum(one.second_names[i] for one in verdicts) for i in (0, 1))),
        "coverage": share(*(sum(one.fields[i] for one in verdicts) for i in (0, 1))),
        "nothing_twice": share(sum(one.nothing_twice for one in verdicts), count),
        "added": share(sum(one.added for one in verdicts), count),
    }
