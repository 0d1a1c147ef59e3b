"""Entities by conlleval's rules, written out here, and the reader of columns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import UserError
from stages.scoring import conll
from stages.scoring.scores import Scores

TAGS = ["O", "B-PER", "I-PER", "B-A-B", "I-A-B", "B-A", "I-A"]
sentences = st.lists(
    st.integers(1, 8).flatmap(lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2)),
    min_size=1,
)


def entities(tags):
    """conlleval: an entity starts at B, at I behind O, and wherever the type changes."""
    found, start, before = set(), None, ("O", "")
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        if start is not None and (prefix in "BO" or kind != before[1]):
            found.add((before[1], start, position))
            start = None
        if prefix == "B" or (prefix == "I" and (before[0] == "O" or kind != before[1])):
            start = position
        before = (prefix, kind)
    return found


def score(hypotheses, references):
    return Scores.of(conll.measure(hypotheses, references)).metrics


@settings(deadline=None)
@given(sentences)
def test_equals_conlleval(pairs):
    hypotheses, references = map(list, zip(*pairs, strict=True))
    found = {(i, *entity) for i, tags in enumerate(hypotheses) for entity in entities(tags)}
    true = {(i, *entity) for i, tags in enumerate(references) for entity in entities(tags)}
    right = len(found & true)
    expected = {
        "precision": (right, len(found)),
        "recall": (right, len(true)),
        "F1": (2 * right, len(found) + len(true)),
    }
    assert score(hypotheses, references) == {
        name: pytest.approx(some / total if total else 0, abs=5.1e-5) for name, (some, total) in expected.items()
    }


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["I-PER", "I-PER", "O"], 1),  # IOB1
        (["B-PER", "I-LOC"], 0),  # another type is another entity
        (["O", "I-PER", "O"], 0),
        (["B-PER", "B-PER", "O"], 0),
    ],
)
def test_one_entity_of_two_words(tags, expected):
    reference = ["B-PER", "I-PER", "O"][: len(tags)]
    assert score([tags], [reference])["F1"] == expected


def test_by_hand():
    hypotheses, references = [["B-A", "O", "B-A"], ["O"]], [["B-A", "I-A", "B-A"], ["B-A"]]
    assert score(hypotheses, references) == {"precision": 0.5, "recall": 0.3333, "F1": 0.4}
    assert score([["O"]], [["O"]]) == {"precision": 0, "recall": 0, "F1": 0}


def test_columns(tmp_path):
    (tmp_path / "gold.txt").write_text("-DOCSTART- -X- O\n\nAda NNP B-PER\nruns VB O\n\n\nBo\u00a0Li NNP I-PER\n")
    (tmp_path / "hyp.txt").write_bytes(b"\xef\xbb\xbfB-PER\r\nO\r\n\r\nO\r\n\r\n")
    read = conll.read(tmp_path / "hyp.txt", [tmp_path / "gold.txt"])
    assert read == ([["B-PER", "O"], ["O"]], [["B-PER", "O"], ["I-PER"]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("O\n", r"hyp\.txt, line 1: a sentence of 1 tags, but of 2 in .*gold\.txt, line 3"),
        ("O\nAda NNP\n", r"hyp\.txt, line 2: the tag must be O, B-type or I-type, not NNP"),
    ],
)
def test_errors(tmp_path, text, message):
    (tmp_path / "gold.txt").write_text("\n\nAda B-PER\nruns O\n")
    (tmp_path / "hyp.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        conll.read(tmp_path / "hyp.txt", [tmp_path / "gold.txt"])


def test_nothing_to_score():
    with pytest.raises(UserError, match="no sentence to score"):
        conll.measure([], [])


def test_one_file_of_references(tmp_path):
    with pytest.raises(UserError, match="takes one file of references"):
        conll.read(tmp_path / "a", [tmp_path / "b", tmp_path / "c"])
