"""Decoding of texts: each source once, readable results, and an interruption that loses nothing."""

import pytest

from stages.core.run_config import Decoding
from stages.decoding import beam, texts
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation

SOURCES = [
    "name : Oak",
    "name : The Elm | near : Oak",
    "food : Thai",
    "name : Café Ash | area : riverside",
    "near : Yew",
]


DECODING = Decoding(
    source_tokens=None, target_tokens=None, beam=2, length_penalty=1.0, min_new_tokens=0, max_new_tokens=8,
    batch_size=2, early_stopping=False, banned=("\n", "\n\n"),
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("project")  # token ids go to .scratch of the current directory


def test_an_interrupted_decoding_goes_on_where_it_was(lm, tmp_path, monkeypatch):
    def decode(sources, partial):
        [found] = texts.decode(lm, Adaptation(), sources, DECODING, partial)
        return found

    monkeypatch.setattr(beam, "_PIECE", 1)
    expected = decode(SOURCES, tmp_path / "straight/p.jsonl")
    assert len(expected) == 5 and len(set(expected.values())) > 1
    assert decode(SOURCES[::-1], tmp_path / "reversed/p.jsonl") == expected

    real, found = texts.search_runs, []

    def interrupted(*args):
        for pair in real(*args):
            if len(found) == 3:
                raise KeyboardInterrupt
            found.append(pair)
            yield pair

    monkeypatch.setattr(texts, "search_runs", interrupted)
    partial = tmp_path / "stopped/p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        decode(SOURCES, partial)
    assert len(partial.read_text().splitlines()) == 2, "one piece is done, the second was begun"
    again = []
    monkeypatch.setattr(texts, "search_runs", lambda *args: again.append(len(args[3])) or real(*args))
    assert decode(SOURCES, partial) == expected
    assert again == [2, 1], "it must resume, not restart"


def test_a_source_is_decoded_once(lm, tmp_path):
    partial = tmp_path / "p.jsonl"
    [found] = texts.decode(lm, Adaptation(), SOURCES[:2] * 3, DECODING, partial)
    assert sorted(found) == sorted(SOURCES[:2]) and len(partial.read_text().splitlines()) == 2


def test_runs_in_one_pass_make_what_each_makes_alone(lm, tmp_path):
    adaptation = Prefix(lm, 3, None, [1, 2, 3])()
    together = texts.decode(lm, adaptation, SOURCES, DECODING, tmp_path / "all/p.jsonl", 3)
    for run in range(3):
        assert [together[run]] == texts.decode(lm, adaptation.of(run), SOURCES, DECODING, tmp_path / f"{run}/p.jsonl")
    assert together[0] != together[1]


def test_banned_pieces_are_those_of_one_token(lm):
    ids = texts.banned_ids(lm, ["\n", " the", "no single token at all"])
    assert [lm.tokenizer.decode([i]) for i in ids] == ["\n", " the"]
