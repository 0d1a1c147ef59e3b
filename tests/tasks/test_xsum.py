"""XSum's reader: the topic of an address, rows divided, and files that are none."""

import json
import re
import sys
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.tasks import Linearize
from stages.tasks.xsum import XSumSource, divide, download, linearize, read_rows, topic

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)


def source(root=None, split_seed=None):
    return XSumSource(root=root and str(root), dataset="EdinburghNLP/xsum", revision="main", split_seed=split_seed)


def row(number, **others):
    return {
        "id": f"a{number}",
        "document": f"Line {number}.\nMore\u2028of it.",
        "summary": f" It is  {number}.",
    } | others


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def ids(raw):
    return {split: [r.id for r in records] for split, records in linearize(raw, OPTIONS).items()}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://www.bbc.co.uk/news/uk-england-london-12345", "uk"),
        ("https://www.bbc.com/news/world-europe-1", "world"),
        ("http://www.bbc.co.uk:80/news/business-1?ocid=x#top", "business"),
        ("http://www.bbc.co.uk/news/science-environment-1", "science"),
        ("http://www.bbc.com/news/election-us-2016-1", "election"),
        ("http://www.bbc.co.uk/news/10138849", "news"),
        ("http://www.bbc.co.uk/news/av/uk-38111897/a-title", "uk"),
        ("http://www.bbc.co.uk/sport/football/1", "sport"),
        ("http://www.bbc.co.uk/sport/0/rugby-league/1", "sport"),
        ("http://www.bbc.co.uk/newsround/26503920", "newsround"),
        ("http://news.bbc.co.uk/1/hi/world/europe/1.stm", "world"),
        ("http://news.bbc.co.uk/2/hi/uk_news/scotland/1.stm", "uk"),
        ("http://news.bbc.co.uk/sport1/hi/football/1.stm", "sport"),
        ("http://web.archive.org/web/20160101224007/http://www.bbc.co.uk/news/entertainment-arts-29604402", "entertainment"),
        ("https://web.archive.org/web/2016id_/https://www.bbc.com/sport/golf/34687720", "sport"),
        ("http://web.archive.org/web/2016/www.bbc.co.uk:80/news/health-1", "health"),
        ("https://www.notbbc.com/UK-News/2016/1", "uk_news"),
        ("https://example.org/2016/business/1", None),
        ("https://example.org/", None),
        ("http://www.bbc.co.uk/", None),
        ("http://www.bbc.co.uk/12345", None),
        ("", None),
    ],
)  # fmt: skip
def test_topics(url, expected):
    assert topic(url) == expected


@given(
    st.sampled_from(["", "http://web.archive.org/web/2016/"]),
    st.sampled_from(["", "http://", "http://www.bbc.co.uk/", "http://www.bbc.com/news/", "https://example.org/"]),
    st.text(),
)
def test_a_topic_is_fit_for_the_name_of_a_metric(archive, host, rest):
    found = topic(archive + host + rest)
    assert found is None or re.fullmatch("[a-z_]+", found)


def numbered(count):
    return [{"id": number, "document": f"Article {number}."} for number in range(count)]


@given(st.integers(3, 300), st.integers(0, 2**32))
def test_divides_all_rows(count, seed):
    rows = numbered(count)
    splits = divide(rows, seed)
    assert sorted(one["id"] for part in splits.values() for one in part) == list(range(count))
    assert len(splits["dev"]) == len(splits["test"]) == max(1, count // 10) and splits["train"]
    assert splits == divide(rows, seed)


def test_another_seed_divides_otherwise():
    rows = numbered(50)
    assert divide(rows, 1) != divide(rows, 2)


def test_articles_without_copies_are_divided_as_they_are_shuffled():
    shuffled = list(range(20))
    Random(7).shuffle(shuffled)
    found = {split: [one["id"] for one in part] for split, part in divide(numbered(20), 7).items()}
    assert found == {"train": shuffled[4:], "dev": shuffled[:2], "test": shuffled[2:4]}


def articles(rows):
    return {" ".join(one["document"].split()) for one in rows}


@given(st.lists(st.integers(1, 30), min_size=3, max_size=60), st.integers(0, 2**32))
def test_copies_of_an_article_are_in_one_split(copies, seed):
    spaces = (" ", "\n", "  ", "\u00a0")
    rows = [{"document": f"Article{spaces[n % 4]}{name}."} for name, times in enumerate(copies) for n in range(times)]
    splits = divide(rows, seed)
    assert sum(map(len, splits.values())) == len(rows) and splits == divide(rows, seed)
    assert sum(len(articles(part)) for part in splits.values()) == len(copies) and all(splits.values())
    tenth = max(1, len(rows) // 10)
    assert len(splits["dev"]) < tenth + sorted(copies)[-2]
    if copies.count(1) >= 2 * tenth:  # enough articles without copies for dev and test
        assert len(splits["dev"]) == len(splits["test"]) == tenth


def test_one_article_that_is_nearly_all_rows_is_trained_on():
    rows = [{"document": "Again."}] * 28 + numbered(2)
    for seed in range(5):
        splits = divide(rows, seed)
        assert {split: len(part) for split, part in splits.items()} == {"train": 28, "dev": 1, "test": 1}


def test_equal_ids_make_no_copies():
    rows = numbered(30)
    same = [one | {"id": 0} for one in rows]
    assert {split: articles(part) for split, part in divide(same, 1).items()} == {
        split: articles(part) for split, part in divide(rows, 1).items()
    }


def test_records(tmp_path):
    rows = [row(0, url="http://www.bbc.co.uk/news/uk-1", split="train", title="x"), row(1, id=7, split="validation"),
            row(2, url=None, split="test"), row(3, split="train")]  # fmt: skip
    del rows[3]["id"]
    download(source(write(tmp_path / "all.jsonl", rows)), tmp_path / "raw")
    splits = linearize(tmp_path / "raw", OPTIONS)
    found = {split: [(r.id, r.source, r.targets, r.group) for r in records] for split, records in splits.items()}
    assert found == {
        "train": [
            ("a0", "Line 0. More of it.", ["It is 0."], "uk"),
            ("train-00001", "Line 3. More of it.", ["It is 3."], None),
        ],
        "dev": [("7", "Line 1. More of it.", ["It is 1."], None)],
        "test": [("a2", "Line 2. More of it.", ["It is 2."], None)],
    }


@pytest.mark.parametrize("dev", ["dev", "validation"])
def test_a_directory(tmp_path, dev):
    for number, split in enumerate(("train", dev, "test")):
        write(tmp_path / f"root/{split}.jsonl", [row(number, split="of no account")])
    download(source(tmp_path / "root"), tmp_path / "raw")
    assert ids(tmp_path / "raw") == {"train": ["a0"], "dev": ["a1"], "test": ["a2"]}


def test_a_seed_divides_what_there_is(tmp_path):
    rows = [row(number, split="test") for number in range(20)]
    write(tmp_path / "one.jsonl", rows)
    write(tmp_path / "root/train.jsonl", rows[:7])
    write(tmp_path / "root/test.jsonl", rows[7:])
    found = []
    for root in ("one.jsonl", "root"):
        download(source(tmp_path / root, split_seed=1), tmp_path / f"raw-{root}")
        found.append(ids(tmp_path / f"raw-{root}"))
    assert found[0] == found[1] and {split: len(part) for split, part in found[0].items()} == {
        "train": 16,
        "dev": 2,
        "test": 2,
    }


def hub(monkeypatch, load):
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))


def test_the_hub(tmp_path, monkeypatch, capsys):
    asked = []

    def load(*names, **options):
        asked.append((names, options))
        return {"train": [row(0), row(3, document="\n")], "validation": [row(1)], "test": [row(2)]}

    hub(monkeypatch, load)
    download(source(), tmp_path / "raw")
    assert asked == [(("EdinburghNLP/xsum",), {"revision": "main"})]
    assert ids(tmp_path / "raw") == {"train": ["a0"], "dev": ["a1"], "test": ["a2"]}
    assert capsys.readouterr().err == "xsum train: 1 rows without text left out\n"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ConnectionError("no route\nto host"), "ConnectionError: no route to host"),
        ({"train": [], "test": []}, "KeyError: 'validation'"),
    ],
)
def test_the_hub_out_of_reach(tmp_path, monkeypatch, outcome, reason):
    def load(*names, **options):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    hub(monkeypatch, load)
    with pytest.raises(UserError) as error:
        download(source(), tmp_path / "raw")
    assert str(error.value) == (
        f"cannot load EdinburghNLP/xsum at main from the Hugging Face hub ({reason}): "
        "set sources.xsum.root to a jsonl file or a directory of train, dev and test.jsonl"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"document": "a", "summary": "b"}\n\n{"document": "a", "summ', "line 3: not JSON"),
        ('{"summary": "b"}\n', "line 1: key document is missing"),
        ('{"document": "a", "summary": "b"}\n{"document": "a"}\n', "line 2: key summary is missing"),
        ('{"document": " \\n", "summary": "b"}\n', "line 1: document is empty"),
        ('{"document": "a", "summary": ""}\n', "line 1: summary is empty"),
        ('{"document": "a", "summary": "b \\ud83d"}\n', "line 1: summary holds half of a surrogate pair"),
        ('{"document": "a", "summary": null}\n', "line 1: summary must be text, not null"),
        ('{"document": "a", "summary": "b", "url": 1}\n', "line 1: url must be text, not 1"),
        ('["a", "b"]\n', "line 1: must be an object with document and summary"),
        ("\n", r"x\.jsonl has no rows"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    for read in (lambda: read_rows(path), lambda: download(source(path, split_seed=1), tmp_path / "raw")):
        with pytest.raises(UserError, match=message) as error:
            read()
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


TOO_FEW = "rows of xsum cannot be divided into train, dev and test: give at least 3 different articles"


@pytest.mark.parametrize(
    ("rows", "seed", "message"),
    [
        ([row(0, split="train"), row(1, split="test")], None, "no rows of the dev split: set sources.xsum.split_seed"),
        ([row(0, split="dev")], None, "no rows of the train split: set sources.xsum.split_seed"),
        ([row(0, split="train"), row(1, split="extra")], None, "row 2: split must be .* not \"extra\": or set sources.xsum.split_seed"),
        ([row(0, split="train"), row(1)], None, "row 2: split must be .* not null: or set sources.xsum.split_seed"),
        ([row(0), row(1)], 1, f"2 {TOO_FEW}"),
        ([row(0), row(1), row(1, document="Line 1. More of it. "), row(0)], 1, f"4 {TOO_FEW}"),
    ],
)  # fmt: skip
def test_splits_that_are_missing(tmp_path, rows, seed, message):
    with pytest.raises(UserError, match=message):
        download(source(write(tmp_path / "x.jsonl", rows), seed), tmp_path / "raw")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


def test_files_that_are_missing(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist: sources.xsum.root must be a jsonl file or a dir"):
        download(source(tmp_path / "nowhere"), tmp_path / "raw")
    write(tmp_path / "root/train.jsonl", [row(0)])
    with pytest.raises(UserError, match=r"root has no rows of the dev split: set sources.xsum.split_seed to a number"):
        download(source(tmp_path / "root"), tmp_path / "raw")
    with pytest.raises(UserError, match=r"cannot read .*dev\.jsonl"):
        linearize(tmp_path / "root", OPTIONS)
