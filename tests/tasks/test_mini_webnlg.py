"""The generated task: reproducible, its splits disjoint, in the challenge's own layout of files."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from stages.tasks import Linearize, mini_webnlg, webnlg
from stages.tasks.common.generated import GeneratedTexts
from stages.world.domains import OTHERS
from stages.world.triples import SEEN, UNSEEN, Entry

SOURCE = GeneratedTexts(seed=1, train=270, dev=45, test=101, references=3)
OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)
REFERRING = {a.key for domain in OTHERS for a in domain.attributes if not a.values}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini_webnlg") / "raw"
    mini_webnlg.download(SOURCE, out)
    return out


@pytest.fixture(scope="module")
def splits(raw):
    return mini_webnlg.linearize(raw, OPTIONS)


def triples(record):
    return [tuple(triple.split(" : ")) for triple in record.source.split(" | ")[1:]]


def test_files_are_a_function_of_the_seed(tmp_path):
    small = GeneratedTexts(seed=1, train=30, dev=10, test=10, references=2)
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        mini_webnlg.download(small.model_copy(update={"seed": seed}), tmp_path / out)
    a, b, c = ([(p.relative_to(tmp_path / out), p.read_bytes()) for p in sorted((tmp_path / out).rglob("*.xml"))]
               for out in "abc")  # fmt: skip
    assert a == b != c


def test_the_challenges_layout(raw):
    named = r"(train|dev)/([1-7]triples)/\2_([A-Z][a-z]+)_\1_challenge\.xml"
    for path in raw.rglob("*.xml"):
        found = re.fullmatch(named, path.relative_to(raw).as_posix())
        assert found or path == raw / "test/testdata_with_lex.xml"
        for number, entry in enumerate(ElementTree.parse(path).getroot().iterfind("entries/entry"), start=1):
            original = [t.text for t in entry.iterfind("originaltripleset/otriple")]
            modified = [t.text for t in entry.iterfind("modifiedtripleset/mtriple")]
            assert (
                original == modified and entry.get("size") == str(len(modified)) and entry.get("eid") == f"Id{number}"
            )
            lexes = [(lex.get("comment"), lex.get("lid")) for lex in entry.iterfind("lex")]
            assert lexes == [("good", f"Id{i}") for i in range(1, len(lexes) + 1)] and lexes
            if found:
                assert (entry.get("category"), f"{len(modified)}triples") == (found[3], found[2])


def test_counts_and_groups(splits):
    assert {split: len(records) for split, records in splits.items()} == {"train": 270, "dev": 45, "test": 101}
    assert Counter(record.group for record in splits["train"]) == dict.fromkeys(SEEN, 30)
    assert Counter(record.group for record in splits["dev"]) == dict.fromkeys(SEEN, 5)
    assert Counter(record.group for record in splits["test"]) == {"seen": 51, "unseen": 50}


def test_test_categories_are_mixed(raw):
    categories = [entry.category for entry in webnlg.read_entries(raw / webnlg.TEST)]
    assert set(categories) == {*SEEN, *UNSEEN}
    changes = sum(a != b for a, b in itertools.pairwise(categories))
    assert changes > 70 and {category in SEEN for category in categories[:15]} == {True, False}


def test_splits_share_no_name_and_no_source(splits):
    def names(records):
        found = [triple for record in records for triple in triples(record)]
        return {name for name, _, _ in found} | {value for _, key, value in found if key in REFERRING}

    train, dev, test = (names(splits[split]) for split in ("train", "dev", "test"))
    assert len(train) > 270 and not (train & dev or train & test or dev & test)
    sources = [frozenset(triples(record)) for records in splits.values() for record in records]
    assert len(set(sources)) == len(sources)


def test_texts_hold_plain_values(splits):
    """Values that wording never changes: names, numbers and amounts, kinds."""
    checked = 0
    for records in splits.values():
        for record in records:
            assert 1 <= len(record.targets) == len(set(record.targets)) <= 3
            for name, key, value in triples(record):
                for target in record.targets:
                    assert name in target
                    if key in REFERRING or key == "type" or re.search(r"\d", value):
                        checked += 1
                        assert value in target, (key, value, target)
    assert checked > 1000


def test_chains_in_every_split(splits):
    for records in splits.values():
        assert any(len({name for name, _, _ in triples(record)}) == 2 for record in records)


def test_special_characters_survive(tmp_path):
    entry = Entry("Hotel", [('A & "B"', "cost", "<£5>"), ("é", "k", "a > b")], ["A & B < \"C\" > 'D' é."])
    mini_webnlg.write(tmp_path / "deep" / "a.xml", [entry])
    assert b"&amp;" in (tmp_path / "deep" / "a.xml").read_bytes()
    [found] = webnlg.read_entries(tmp_path / "deep" / "a.xml")
    assert (found.category, found.triples, found.texts) == ("Hotel", entry.triples, [("good", entry.texts[0])])


def test_a_repeated_entry_is_drawn_again(monkeypatch):
    a, b = (Entry("Hotel", [(name, "type", "inn")], [f"{name} is an inn."]) for name in "AB")
    drawn = iter([a, a, b])
    monkeypatch.setattr(mini_webnlg, "draw_entry", lambda *_: next(drawn))
    assert mini_webnlg.entries("train", ["Hotel", "Hotel"], 1, seed=1) == [a, b]
