"""Styles can be told apart, composed domains say all they hold, and what a text states is counted right."""

import re
from random import Random

import pytest

from stages.pretrain.judges import statements
from stages.world.composed import draw_domain
from stages.world.domains import Record, draw_record
from stages.world.notations import draw_notation, draw_separator, space_punctuation
from stages.world.styles import SIGNED, STYLES, follows


def records(count, seed=0):
    rng = Random(seed)
    return [draw_record(rng, draw_domain(rng), fewest=3) for _ in range(count)]


@pytest.mark.parametrize("style", [name for name in STYLES if name not in ("lower", "terse")])
def test_every_style_says_every_fact(style):
    rng = Random(1)
    for record in records(300):
        text = STYLES[style](rng, record)
        assert record.name in text and "{" not in text and text.endswith(".")
        said = statements(text, record)
        missing = [fact for fact in record.facts if (fact.attribute.key, fact.value) not in said]
        assert not missing, (text, missing)


@pytest.mark.parametrize("style", SIGNED)
def test_a_style_shows(style):
    rng = Random(2)
    found = records(300)
    assert all(follows(style, record, STYLES[style](rng, record)) for record in found)
    assert sum(follows(style, record, STYLES["plain"](rng, record)) for record in found) < 75


def test_set_apart():
    assert space_punctuation("less than £20") == "less than £ 20" and space_punctuation("£20-25") == "£ 20 - 25"


def test_notations_hold_every_value():
    rng = Random(3)
    for record in records(300):
        pairs = record.pairs()
        noted = draw_notation(rng)(pairs)
        for key, value in pairs:
            assert value in noted or space_punctuation(value) in noted
            assert re.sub(r"\W|_", "", key).lower() in re.sub(r"\W|_", "", noted).lower()


def test_separators_are_many():
    rng = Random(4)
    assert len({draw_separator(rng) for _ in range(1000)}) > 300


def test_a_record_of_an_open_kind_is_a_place():
    assert any(record.kind is None for record in records(300))
    assert all(isinstance(r, Record) and (r.kind is not None or r.domain.place) for r in records(300))
