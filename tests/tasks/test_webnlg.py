"""WebNLG's reader: exact strings, which texts are kept, and files that are none."""

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.tasks import Linearize
from stages.tasks.webnlg import linearize, linearize_triples, read_entries

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)
letters = st.characters(exclude_characters="|:", exclude_categories=("C", "Z"))
words = st.text(letters, min_size=1, max_size=12)


def entry(category, triples, *texts):
    triples = "".join(f"<mtriple>{triple}</mtriple>" for triple in triples)
    texts = "".join(f'<lex comment="{comment}" lid="Id1">{text}</lex>' for comment, text in texts)
    original = "<originaltripleset><otriple>a | b | c</otriple></originaltripleset>"
    return f'<entry category="{category}" eid="Id1">{original}<modifiedtripleset>{triples}</modifiedtripleset>{texts}</entry>'


def document(*entries):
    return f"<benchmark><entries>{''.join(entries)}</entries></benchmark>"


AIRPORT = entry("Airport", ["A_b | leaderName | C_d"], ("good", "C d leads\n A b."), ("toFix", "C d lead A b."))
BAD = entry("Airport", ["A_b | size | 7"], ("toFix", "7!"))
TWO = entry("City", ["E | isIn | F &amp; G", 'E | name | "E"@en'], ("good", "E is in F &amp; G."), ("toFix", "E, F."))


@pytest.fixture
def raw(tmp_path):
    def write(**files):
        for split in ("train", "dev", "test"):
            (tmp_path / split).mkdir(exist_ok=True)
        files = {"train/b.xml": document(AIRPORT, BAD), "train/a.xml": document(AIRPORT), "dev/a.xml": document(AIRPORT),
                 "test/testdata_with_lex.xml": document(TWO, AIRPORT, TWO)} | files  # fmt: skip
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_linearized_strings():
    triples = [("Aarhus", "leaderName", "Jacob_Bundsgaard"), ("A", "b", "c d")]
    assert linearize_triples(triples) == " | Aarhus : leaderName : Jacob_Bundsgaard | A : b : c d"
    assert linearize_triples(triples, bars=False) == "Aarhus : leaderName : Jacob_BundsgaardA : b : c d"


@given(st.lists(st.tuples(words, words, words), min_size=1))
def test_reads_the_triples_it_is_given(tmp_path_factory, triples):
    path = tmp_path_factory.mktemp("webnlg") / "a.xml"
    path.write_text(document(entry("A", [escape(" | ".join(triple)) for triple in triples])), encoding="utf-8")
    [found] = read_entries(path)
    assert found.triples == triples and found.texts == []
    assert [tuple(part.split(" : ")) for part in linearize_triples(triples).split(" | ")[1:]] == triples


def test_good_texts_train_and_all_are_references(raw):
    splits = linearize(raw(), OPTIONS)
    assert [(r.id, r.targets, r.group) for r in splits["train"]] == [
        ("train-00000", ["C d leads A b."], "Airport"),
        ("train-00001", ["C d leads A b."], "Airport"),
    ]
    assert [r.source for r in splits["dev"]] == [" | A_b : leaderName : C_d"]
    assert [(r.source, r.targets, r.group) for r in splits["test"]] == [
        (' | E : isIn : F & G | E : name : "E"@en', ["E is in F & G.", "E, F."], "unseen"),
        (" | A_b : leaderName : C_d", ["C d leads A b.", "C d lead A b."], "seen"),
        (' | E : isIn : F & G | E : name : "E"@en', ["E is in F & G.", "E, F."], "unseen"),
    ]


def test_the_authors_first_entry(raw):
    as_theirs = linearize(raw(), OPTIONS.model_copy(update={"authors_first_entry": True}))["test"]
    assert as_theirs[0].source == 'E : isIn : F & GE : name : "E"@en'
    assert [r.source for r in as_theirs][1:] == [r.source for r in linearize(raw(), OPTIONS)["test"]][1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(AIRPORT)[:-20], r"a\.xml, line 2: not XML"),
        (document(AIRPORT, entry("A", [])), r"a\.xml, entry 2 \(Id1\): no triples"),
        (
            document(entry("A", ["a | b"])),
            r"a\.xml, entry 1 \(Id1\): a triple is `subject \| property \| object`, not 'a",
        ),
        (document(entry("A", ["a | b\n | c | d"])), r"entry 1 \(Id1\): a triple is .*, not 'a \| b\\n \| c \| d'$"),
        ("", r"a\.xml, line 1: not XML"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        list(read_entries(tmp_path / "a.xml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"test/testdata_with_lex.xml": document(entry("A", ["a | b | c"]))}, r"with_lex\.xml, entry 1: no text"),
        ({"train/a.xml": document(), "train/b.xml": document()}, r"train holds no entries"),
    ],
)
def test_wrong_sets(raw, files, message):
    with pytest.raises(UserError, match=message):
        linearize(raw(**files), OPTIONS)
