"""Entries of triples: all that they hold is said, chains included, and training knows no unseen category."""

import re
from random import Random

import pytest

from stages.world.domains import OTHERS
from stages.world.names import owner
from stages.world.triples import CATEGORIES, SEEN, UNSEEN, draw_entry

ATTRIBUTES = [attribute for domain in OTHERS for attribute in domain.attributes]
REFERRING = {attribute.key for attribute in ATTRIBUTES if not attribute.values}
KINDS = {kind: domain for domain in OTHERS for kind in domain.kinds}


def entries(count, categories=CATEGORIES, who="train", seed=0):
    rng = Random(seed)
    return [draw_entry(rng, list(categories)[i % len(categories)], who, 3) for i in range(count)]


def wordings(key, value):
    """All ways to say a pair, in whichever domain has the key."""
    found = [a for a in ATTRIBUTES if a.key == key and (value in a.values or not a.values)]
    return {w.replace("{v}", value) for a in found for ws in a.forms_of(value).values() for w in ws}


def says(text, key, value):
    if key == "type":
        return re.search(rf"\b{value}\b", text) is not None
    return any(w in text or w[0].upper() + w[1:] in text for w in wordings(key, value))


def test_categories():
    assert (len(SEEN), len(UNSEEN), len(CATEGORIES)) == (9, 5, 14)
    assert len({domain.kinds for domain in CATEGORIES.values()}) == 14
    assert not any(domain.person for domain in CATEGORIES.values())


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_text_says_every_triple(category):
    for entry in entries(150, [category]):
        for text in entry.texts:
            assert re.fullmatch(r"[A-Z].*[.]", text) and "{" not in text
            for name, key, value in entry.triples:
                assert name in text and says(text, key, value), (name, key, value, text)


def test_says_notices_what_is_missing():
    """The check above can fail: most wrong kinds and values are found missing."""
    text = "Fox is a cheap hotel near Elm that welcomes pets."
    assert says(text, "cost", "cheap") and says(text, "beside", "Elm") and says(text, "pets", "yes")
    assert says(text, "type", "hotel") and not says(text, "type", "inn") and not says(text, "cost", "high")
    assert not says(text, "pets", "no") and not says(text, "beside", "Oak")


def test_sizes():
    made = entries(1400)
    assert {len(entry.triples) for entry in made} == set(range(1, 8))
    assert {len(entry.texts) for entry in made} == {1, 2, 3}
    assert all(len(set(entry.texts)) == len(entry.texts) and len(set(entry.triples)) == len(entry.triples) for entry in made)  # fmt: skip


def test_a_quarter_of_those_that_refer_to_a_thing_describe_it():
    chains = referring = 0
    for entry in entries(4000):
        name = entry.triples[0][0]
        referred = {value for subject, key, value in entry.triples if subject == name and key in REFERRING}
        described = {subject for subject, _, _ in entry.triples} - {name}
        assert described <= referred and len(described) <= 1
        tail = [triple for triple in entry.triples if triple[0] in described]
        assert len(tail) <= 2 and entry.triples[len(entry.triples) - len(tail) :] == tail
        referring += bool(referred)
        chains += bool(described)
    assert 0.2 < chains / referring < 0.3


def test_no_training_entry_has_what_is_unseen():
    for categories, hidden in ((SEEN, UNSEEN), (UNSEEN, {})):
        kinds = {value for entry in entries(2000, categories) for _, key, value in entry.triples if key == "type"}
        assert kinds and not any(KINDS[kind] in hidden.values() for kind in kinds)
        assert all(KINDS[kind] in CATEGORIES.values() for kind in kinds)


@pytest.mark.parametrize("who", ["train", "dev", "test"])
def test_names_belong_to_the_split(who):
    made = entries(300, who=who)
    names = {name for entry in made for name, _, _ in entry.triples}
    names |= {value for entry in made for _, key, value in entry.triples if key in REFERRING}
    assert {owner(name) for name in names} == {who}
