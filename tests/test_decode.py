"""The decode stage: each source once, readable results, and an interruption that loses nothing."""

import itertools

import pytest

from stages import decode as stage
from stages import params
from stages.engine import beam
from stages.methods.cache import empty_prefix

SOURCES = [
    "name : Oak",
    "name : The Elm | near : Oak",
    "food : Thai",
    "name : Café Ash | area : riverside",
    "near : Yew",
]


@pytest.fixture
def options(project):
    return params.load().decode.model_copy(update={"beam": 2, "max_new_tokens": 8, "batch_size": 2})


def test_an_interrupted_decoding_goes_on_where_it_was(lm, options, tmp_path, monkeypatch):
    prefix = empty_prefix(lm.shape)
    expected = stage.decode(lm, prefix, SOURCES, options, tmp_path / "straight/p.jsonl")
    assert len(expected) == 5 and len(set(expected)) > 1
    assert stage.decode(lm, prefix, SOURCES[::-1], options, tmp_path / "reversed/p.jsonl") == expected[::-1]

    real, calls = beam.search_batch, itertools.count()

    def interrupted(*args):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(beam, "search_batch", interrupted)
    partial = tmp_path / "stopped/p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        stage.decode(lm, prefix, SOURCES, options, partial)
    assert len(partial.read_text().splitlines()) == 2
    again = itertools.count()
    monkeypatch.setattr(beam, "search_batch", lambda *args: (next(again) and None) or real(*args))
    assert stage.decode(lm, prefix, SOURCES, options, partial) == expected
    assert next(again) == 2, "it must resume, not restart"


def test_banned_pieces_are_those_of_one_token(lm):
    ids = stage.banned_ids(lm, ["\n", " the", "no single token at all"])
    assert [lm.tokenizer.decode([i]) for i in ids] == ["\n", " the"]
