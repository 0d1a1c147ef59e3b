"""DART's reader: exact strings, the official references line by line, and files that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.scoring.scores import Scores
from stages.tasks import Linearize
from stages.tasks.common.download import git_object_name
from stages.tasks.dart import METRICS, DartFiles, as_references, download, linearize, linearize_triples, read_entries

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)
words = st.text(st.characters(exclude_characters=":|", exclude_categories=("Cs",)), max_size=12)


def entry(triples, *texts):
    return {"tripleset": triples, "annotations": [{"source": "made", "text": text} for text in texts]}


OAK = entry(
    [["Oak", "AREA", "Riverside"], ["[TABLECONTEXT]", "[TITLE]", "Pubs"]], "Oak is by\n the\triverside.", "By it: Oak!"
)
ELM = entry([["Elm", "PRICE_Range", "£20-25"]], "Elm's price is £20-25.")
SILENT = entry([["Ash", "AREA", "Centre"]])
FILES = {
    "one.json": [OAK, SILENT, ELM],
    "two.json": [OAK, entry([["A", "b", "c"]], "", "C.")],
    "three.json": [ELM, SILENT, OAK, OAK],
}
REFERENCES = (
    "elm ' s price is £ 20 - 25 .\r\noak is by the riverside .\r\noak is by the riverside .\r\n",
    "\r\nby it : oak !\r\nby it : oak !\r\n",
    "\r\n\r\none more\r\n",
)


@pytest.fixture
def raw(tmp_path):
    """Make the files, with others in place of these, and download them."""

    def make(splits=("one.json", "two.json", "three.json"), **changed):
        root = tmp_path / "root"
        (root / "dart_reference").mkdir(parents=True)
        for name, value in FILES.items():
            text = changed.get(name.removesuffix(".json"), value)
            (root / name).write_text(text if isinstance(text, str) else json.dumps(text, indent=1), encoding="utf-8")
        for number, text in enumerate(changed.get("references", REFERENCES)):
            (root / f"dart_reference/all-delex-reference{number}.lex").write_bytes(text.encode())
        files = {
            path.relative_to(root).as_posix(): {"path": "x", "checksums": [f"git:{git_object_name(path)}"]}
            for path in sorted(root.rglob("*.*"))
        }
        train, dev, test = splits
        download(
            DartFiles(root=str(root), url="https://x", train=train, dev=dev, test=test, files=files), tmp_path / "raw"
        )
        return tmp_path / "raw"

    return make


def test_linearized_strings():
    assert linearize_triples(OAK["tripleset"]) == "Oak : area : Riverside | [TABLECONTEXT] : [title] : Pubs"
    assert linearize_triples(ELM["tripleset"]) == "Elm : price_range : £20-25"


@given(st.lists(st.tuples(words, words, words), min_size=1))
def test_splits_back(triples):
    parts = [tuple(triple.split(" : ")) for triple in linearize_triples(triples).split(" | ")]
    assert parts == [(subject, relation.lower(), value) for subject, relation, value in triples]


def test_texts_train_and_official_references_test(raw):
    splits = linearize(raw(), OPTIONS)
    oak, elm = (linearize_triples(one["tripleset"]) for one in (OAK, ELM))
    texts = ["Oak is by the riverside.", "By it: Oak!"]
    found = {split: [(r.id, r.source, r.targets) for r in records] for split, records in splits.items()}
    assert found == {
        "train": [("train-00000", oak, texts), ("train-00001", elm, ["Elm's price is £20-25."])],
        "dev": [("dev-00000", oak, texts), ("dev-00001", "A : b : c", ["C."])],
        "test": [
            ("test-00000", elm, ["elm ' s price is £ 20 - 25 ."]),
            ("test-00001", oak, ["oak is by the riverside .", "by it : oak !"]),
            ("test-00002", oak, ["oak is by the riverside .", "by it : oak !", "one more"]),
        ],
    }
    assert {r.group for records in splits.values() for r in records} == {None}


def test_only_the_files_that_are_used_and_one_may_be_two_splits(raw):
    directory = raw(splits=("two.json", "two.json", "three.json"))
    assert sorted(path.name for path in directory.iterdir()) == [
        "dart_reference",
        "splits.json",
        "three.json",
        "two.json",
    ]
    splits = linearize(directory, OPTIONS)
    assert [r.source for r in splits["train"]] == [r.source for r in splits["dev"]]


def test_hypotheses_are_prepared_as_the_references(monkeypatch):
    assert as_references("Elm's in İzmir,  £20-25 (3.5L)") == "elm ' s in i̇zmir , £ 20 - 25 ( 3 . 5l )"
    with METRICS.scorer() as measure:
        metrics = measure(["Oak is by the Riverside.", "Elm!"], [["oak is by the riverside ."], ["elm !"]])
    numbers = Scores.of(metrics).metrics
    assert (numbers["BLEU"], numbers["TER"], numbers["hyp_len"]) == (100, 0, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([OAK], indent=1)[:90], r"one\.json, line \d+: not JSON"),
        ("{}", r"one\.json: must be a list"),
        ([OAK, "x"], r'entry 2: must be an object, not "x"'),
        ([OAK, {"tripleset": OAK["tripleset"]}], "entry 2: key annotations is missing"),
        ([{"annotations": []}], "entry 1: key tripleset is missing"),
        ([OAK | {"annotations": [{"source": "x"}]}], "entry 1: key text is missing"),
        ([OAK | {"annotations": ["x"]}], "entry 1: key text is missing"),
        ([OAK | {"annotations": "x"}], 'entry 1: annotations must be a list, not "x"'),
        ([OAK | {"annotations": [{"text": None}]}], "entry 1: text must be text, not null"),
        ([OAK, entry([], "x")], "entry 2: tripleset is empty"),
        ([entry([["a", "b"]], "x")], r'entry 1: a triple is \[subject, relation, object\], not \["a", "b"\]'),
        ([entry([["a", "b", 7]], "x")], r'entry 1: a triple is .*, not \["a", "b", 7\]'),
        ([entry(["abc"], "x")], 'entry 1: a triple is .*, not "abc"'),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "one.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(UserError, match=message) as error:
        read_entries(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"one": [SILENT]}, r"one\.json has no entries with texts"),
        ({"three": [ELM, OAK]}, r"dart_reference has references for 3 triplesets, but .*three\.json has 2 with texts"),
        ({"three": [OAK, OAK, ELM]}, r"dart_reference: only 1 of 3 lines are the texts of .*three\.json, in its order"),
        ({"references": ["a\nb\n\n"]}, r"dart_reference, line 3: no reference"),
        ({"references": ["a\nb\nc\n", "a\nb\n"]}, r"reference1\.lex has 2 segments, but .*reference0\.lex has 3"),
        ({"references": []}, r"dart_reference holds no references"),
    ],
)
def test_wrong_sets(raw, changed, message):
    directory = raw(**changed)
    with pytest.raises(UserError, match=message) as error:
        linearize(directory, OPTIONS)
    assert "\n" not in str(error.value)


def test_nothing_is_left_of_a_wrong_set(raw, tmp_path):
    raw()
    (tmp_path / "root/dart_reference/all-delex-reference0.lex").write_text("else")
    source = {"train": "one.json", "dev": "one.json", "test": "one.json"}
    files = {
        name: {"path": "x", "checksums": ["git:" + "0" * 40]}
        for name in ("one.json", "dart_reference/all-delex-reference0.lex")
    }
    with pytest.raises(UserError, match="not the official file"):
        download(DartFiles(root=str(tmp_path / "root"), url="https://x", files=files, **source), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "root"]
