"""CoNLL's columns: sentences, tags of either scheme, and lines that are broken."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from stages.core.errors import UserError
from stages.core.record import Record
from stages.scoring.scores import Scores
from stages.tasks import Linearize
from stages.tasks.conll import TASKS, Columns, download, linearize, read_sentences, to_iob2

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)
# In the shape of the real file: four columns, IOB1, a document's mark at its head and between documents.
FILE = """-DOCSTART- -X- -X- O

Ulm NNP I-NP I-ORG
rejects VBZ I-VP O
Bavarian JJ I-NP I-MISC
call NN I-NP O

Ann NNP I-NP I-PER
Lee NNP I-NP I-PER
-DOCSTART- -X- O O
Rome NNP I-NP I-LOC
Paris NNP I-NP B-LOC
. . O O

"""


def source(root):
    return Columns(root=str(root), dataset=None, config=None, revision="main", names=None)


def write(path, text=FILE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_sentences_tokens_and_entities_of_a_file(tmp_path):
    sentences = read_sentences(write(tmp_path / "eng.testa"))
    assert [words for words, _ in sentences] == [
        ["Ulm", "rejects", "Bavarian", "call"],
        ["Ann", "Lee"],
        ["Rome", "Paris", "."],
    ]
    assert [to_iob2(tags) for _, tags in sentences] == [
        ["B-ORG", "O", "B-MISC", "O"], ["B-PER", "I-PER"], ["B-LOC", "B-LOC", "O"],
    ]  # fmt: skip
    assert sum(len(get_entities(to_iob2(tags))) for _, tags in sentences) == 5


def test_columns_are_set_apart_by_spaces_and_tabs_alone(tmp_path):
    """As conlleval does: other white space is part of a word."""
    file = write(tmp_path / "eng.testa", "10\u202f000\tCD  I-A\n\u00a0x NN O\n")
    assert read_sentences(file) == [(["10\u202f000", "\u00a0x"], ["I-A", "O"])]


@pytest.mark.parametrize(("tags", "expected"), [
    ("I-A I-A O I-A", "B-A I-A O B-A"),
    ("I-A I-B I-B", "B-A B-B I-B"),
    ("I-A B-A I-A", "B-A B-A I-A"),
    ("B-A I-A I-B", "B-A I-A B-B"),
    ("O O", "O O"),
])  # fmt: skip
def test_iob1_becomes_iob2(tags, expected):
    assert to_iob2(tags.split()) == expected.split()


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B", "I-A-B"]), min_size=1, max_size=12)


@given(TAGS)
def test_the_entities_stay_what_they_are(tags):
    assert get_entities(to_iob2(tags)) == get_entities(tags)
    assert to_iob2(to_iob2(tags)) == to_iob2(tags)


def test_records(tmp_path):
    for name in ("train.txt", "valid.txt", "test.txt"):
        write(tmp_path / name)
    download(source(tmp_path), tmp_path / "raw")
    found = linearize(tmp_path / "raw", OPTIONS)
    assert {split: len(records) for split, records in found.items()} == {"train": 3, "dev": 3, "test": 3}
    second = found["dev"][1]
    assert (second.id, second.source, second.targets, second.words) == (
        "dev-00001", "Ann Lee", ["B-PER I-PER"], ["Ann", "Lee"],
    )  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [
    ("Ann I-PER\nLee\n", "line 2: 'Lee' has no tag"),
    ("Ann I-PER\n\nLee E-PER\n", "line 3: the tag 'E-PER' is neither O nor B-TYPE nor I-TYPE"),
    ("Ann B\n", "line 1: the tag 'B' is neither"),
    ("-DOCSTART- O\n\n", "has no sentence"),
])  # fmt: skip
def test_a_broken_line_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=f"train.txt,? ?{message}"):
        read_sentences(write(tmp_path / "train.txt", text))


def test_what_is_missing_is_named(tmp_path):
    write(tmp_path / "train.txt")
    with pytest.raises(UserError, match="holds no file of the dev split: dev or valid"):
        download(source(tmp_path), tmp_path / "raw")
    nothing = Columns(root=None, dataset=None, config=None, revision="main", names=None)
    with pytest.raises(UserError, match="give root, a directory of train, dev and test in CoNLL's columns, or dataset"):
        download(nothing, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def numbers(hypotheses, targets):
    records = [Record(str(i), "", [target]) for i, target in enumerate(targets)]
    task = TASKS["conll2003"]
    with task.metrics.scorer() as score:
        return Scores.of(score(*task.postprocess(hypotheses, records))).metrics


def test_texts_of_another_number_of_tags_are_scored():
    """As a text model may write them: what is missing is O, what is too many or no tag does not count."""
    golds = ["B-PER I-PER O", "B-LOC O"]
    assert numbers(golds, golds) == {"precision": 1.0, "recall": 1.0, "F1": 1.0}
    assert numbers(["B-PER I-PER", "B-LOC O B-LOC"], golds)["F1"] == 1.0
    assert numbers(["B-PER I-PER O", "nonsense"], golds) == {"precision": 1.0, "recall": 0.5, "F1": 0.6667}


class Rows(list):
    features: ClassVar = {
        "tokens": None,
        "ner_tags": SimpleNamespace(feature=SimpleNamespace(names=["O", "B-PER", "I-PER"])),
    }


class Unnamed(list):
    features: ClassVar = {"tokens": None, "tags": SimpleNamespace(feature=SimpleNamespace())}


def from_the_hub(monkeypatch, tmp_path, rows, names=None):
    load = lambda *_, **__: dict.fromkeys(("train", "validation", "test"), rows)  # noqa: E731
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
    download(Columns(root=None, dataset="some/where", config=None, revision="main", names=names), tmp_path / "raw")
    [record] = linearize(tmp_path / "raw", OPTIONS)["dev"]
    return record.words, record.targets


@pytest.mark.parametrize("tags", [[1, 2, 0], ["B-PER", "I-PER", "O"]], ids=["numbers", "names"])
def test_the_hub(tmp_path, monkeypatch, tags):
    rows = Rows([{"tokens": ["Ann", "Lee", "ran"], "ner_tags": tags}, {"tokens": [], "ner_tags": []}])
    assert from_the_hub(monkeypatch, tmp_path, rows) == (["Ann", "Lee", "ran"], ["B-PER I-PER O"])


def test_numbers_that_the_hub_does_not_name_are_named_by_the_user(tmp_path, monkeypatch):
    rows = Unnamed([{"tokens": ["Ann", "ran"], "tags": [1, 0]}])
    with pytest.raises(UserError, match=r"does not say what its tags' numbers mean: list them in sources.<task>.names"):
        from_the_hub(monkeypatch, tmp_path, rows)
    assert from_the_hub(monkeypatch, tmp_path, rows, ["O", "B-PER"]) == (["Ann", "ran"], ["B-PER O"])


@pytest.mark.parametrize("tags", [["B-PER"], ["S-PER", "O"], [1, 7], [1, -1], [1, None]])
def test_tags_of_the_hub_that_are_others_are_named(tmp_path, monkeypatch, tags):
    with pytest.raises(UserError, match=r"a sentence of 2 words with the tags .*: each needs one, O, B-TYPE or I-TYPE"):
        from_the_hub(monkeypatch, tmp_path, Rows([{"tokens": ["Ann", "ran"], "ner_tags": tags}]))


@pytest.mark.parametrize("row", [{"tokens": ["Ann"]}, {"ner_tags": [0]}, {"tokens": "Ann", "ner_tags": [0]}])
def test_rows_of_the_hub_of_another_form_are_named(tmp_path, monkeypatch, row):
    with pytest.raises(UserError, match=r"the data set has no lists of tokens and of ner_tags or tags, but"):
        from_the_hub(monkeypatch, tmp_path, Rows([row]))
