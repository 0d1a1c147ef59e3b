"""What the judges of descriptions find, on texts written by hand; and nothing to find fault with in the grammar's own."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pretrain.judges import judge, measures, mentions, share, statements
from stages.world.composed import draw_domain
from stages.world.domains import OTHERS, Record, draw_record
from stages.world.grammar import Fact
from stages.world.names import PROBE
from stages.world.verbalize import verbalize

HOTEL = OTHERS[0]
COST, RATING, DISTRICT, BESIDE, PETS, SIZE, STYLE = HOTEL.attributes
INN = Record(
    HOTEL, "The Green Owl", "inn",
    [Fact(COST, "cheap"), Fact(BESIDE, "Quiet Fox"), Fact(PETS, "no"), Fact(STYLE, "modern")],
)  # fmt: skip
GOOD = "The Green Owl is a modern cheap inn near Quiet Fox. It is not pet friendly."


def test_a_good_description():
    verdict = judge(GOOD, INN)
    assert verdict.first_name and verdict.second_names == (1, 1) and verdict.fields == (5, 5)
    assert verdict.nothing_twice and not verdict.added


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {"first_name": False, "second_names": (0, 1), "fields": (0, 5)}),
        (GOOD.replace("The Green Owl", "The Green Owls"), {"first_name": False}),
        (GOOD.replace("The Green Owl", "The green Owl"), {"first_name": False}),
        (GOOD.replace("Quiet Fox", "Quiet Foxley"), {"second_names": (0, 1), "fields": (4, 5)}),
        (GOOD.replace("inn", "hotel"), {"fields": (4, 5)}),
        (GOOD.replace(" It is not pet friendly.", ""), {"fields": (4, 5)}),
        (GOOD.replace("not ", ""), {"fields": (4, 5), "added": True}),
        (GOOD + " It has nice rooms.", {}),
        (GOOD + " It has low-priced rooms.", {"nothing_twice": False}),
        (GOOD + " It has cheap rates.", {"nothing_twice": False}),
        (GOOD + " It is there. It is there.", {"nothing_twice": False}),
        (GOOD.replace("modern", "modern elegant"), {"added": True}),
        (GOOD + " It has a size of 15 rooms.", {"added": True}),
        (GOOD + " It is in the suburbs.", {"added": True}),
    ],
)
def test_what_is_wrong_with_a_description(text, changed):
    assert judge(text, INN) == replace(judge(GOOD, INN), **changed)


def test_a_name_of_an_attribute_that_the_record_lacks_is_added():
    lonely = replace(INN, facts=[INN.facts[0]])
    assert judge("The Green Owl is a cheap inn.", lonely).added is False
    assert judge("The Green Owl is a cheap inn near Quiet Fox.", lonely).added is True
    assert judge("The Green Owl is a cheap inn near the sea.", lonely).added is False


def test_statements_count_wordings_and_not_what_is_inside_of_others():
    text = (
        "The Green Owl is also near Quiet Fox and is not pet friendly. It has a low guest rating and is pet friendly."
    )
    assert statements(text, INN) == {
        ("beside", "Quiet Fox"): 1, ("pets", "no"): 1, ("guest rating", "low"): 1, ("pets", "yes"): 1
    }  # fmt: skip


def test_mentions_are_whole_words():
    assert mentions("Owl, The Owl (Owl). Owls, Owlley, Night-Owl", "Owl") == 4
    assert mentions("Café Owl", "Caf") == 0


@given(st.integers(0, 2**32), st.booleans())
def test_nothing_is_wrong_with_what_the_grammar_says(seed, composed):
    rng = Random(seed)
    record = draw_record(rng, draw_domain(rng) if composed else rng.choice(OTHERS), PROBE)
    found = measures([judge(verbalize(rng, record), record)])
    assert found | {"second_name": 1.0} == {
        "first_name": 1.0, "second_name": 1.0, "coverage": 1.0, "nothing_twice": 1.0, "added": 0.0
    }  # fmt: skip
    assert found["second_name"] in (None, 1.0)


def test_measures_are_shares_of_all_that_was_asked_for():
    plain = replace(INN, kind=None, facts=[INN.facts[0]])
    found = measures([judge(GOOD, INN), judge("The Green Owl is a place. It is a place.", plain)])
    assert found == {"first_name": 1.0, "second_name": 1.0, "coverage": 0.8333, "nothing_twice": 1.0, "added": 0.0}
    assert measures([judge("Near Oak, it is an inn.", plain)])["second_name"] is None
    assert share(0, 0) is None and share(1, 3) == 0.3333
