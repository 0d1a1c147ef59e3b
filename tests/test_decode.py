"""The decode stage: each source once, readable results, and an interruption that loses nothing."""

import itertools

import pytest

from stages import decode as stage
from stages import params
from stages.engine import beam
from stages.engine.steering import Steering
from stages.params import Decoding

SOURCES = [
    "name : Oak",
    "name : The Elm | near : Oak",
    "food : Thai",
    "name : Café Ash | area : riverside",
    "near : Yew",
]


DECODING = Decoding(
    source_tokens=None, target_tokens=None, beam=2, length_penalty=1.0, min_new_tokens=0, max_new_tokens=8
)


@pytest.fixture
def options(project):
    return params.load().decode.model_copy(update={"batch_size": 2})


def test_an_interrupted_decoding_goes_on_where_it_was(lm, options, tmp_path, monkeypatch):
    def decode(sources, partial):
        return stage.decode(lm, Steering(), sources, DECODING, options, partial)

    expected = decode(SOURCES, tmp_path / "straight/p.jsonl")
    assert len(expected) == 5 and len(set(expected.values())) > 1
    assert decode(SOURCES[::-1], tmp_path / "reversed/p.jsonl") == expected

    real, calls = beam.search_batch, itertools.count()

    def interrupted(*args):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(beam, "search_batch", interrupted)
    partial = tmp_path / "stopped/p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        decode(SOURCES, partial)
    assert len(partial.read_text().splitlines()) == 2
    again = itertools.count()
    monkeypatch.setattr(beam, "search_batch", lambda *args: (next(again) and None) or real(*args))
    assert decode(SOURCES, partial) == expected
    assert next(again) == 2, "it must resume, not restart"


def test_a_source_is_decoded_once(lm, options, tmp_path):
    partial = tmp_path / "p.jsonl"
    found = stage.decode(lm, Steering(), SOURCES[:2] * 3, DECODING, options, partial)
    assert sorted(found) == sorted(SOURCES[:2]) and len(partial.read_text().splitlines()) == 2


def test_banned_pieces_are_those_of_one_token(lm):
    ids = stage.banned_ids(lm, ["\n", " the", "no single token at all"])
    assert [lm.tokenizer.decode([i]) for i in ids] == ["\n", " the"]
