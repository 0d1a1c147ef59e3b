"""The generated task: reproducible, its splits disjoint, in rows as xsum's."""

import re

import pytest

from stages.core.files import read_jsonl
from stages.tasks import Linearize, mini_xsum
from stages.tasks.common.generated import Generated
from stages.world.news import TOPICS, sentences

SOURCE = Generated(seed=1, train=64, dev=16, test=24)
SIZES = {"train": 64, "dev": 16, "test": 24}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini_xsum") / "raw"
    mini_xsum.download(SOURCE, out)
    return out


def test_files_are_a_function_of_the_seed(tmp_path):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        mini_xsum.download(SOURCE.model_copy(update={"seed": seed}), tmp_path / out)
    a, b, c = ([(p.name, p.read_bytes()) for p in sorted((tmp_path / out).iterdir())] for out in "abc")
    assert a == b != c and [name for name, _ in a] == ["dev.jsonl", "test.jsonl", "train.jsonl"]


def test_rows_are_as_xsums(raw):
    rows = {split: read_jsonl(raw / f"{split}.jsonl") for split in SIZES}
    assert {split: len(found) for split, found in rows.items()} == SIZES
    found = [row for split in rows.values() for row in split]
    assert all(list(row) == ["id", "url", "document", "summary"] for row in found)
    for key in ("id", "url", "document"):
        assert len({row[key] for row in found}) == len(found)


def test_records(raw):
    splits = mini_xsum.linearize(raw, Linearize(tokenize_targets=False, authors_first_entry=False))
    assert {split: len(records) for split, records in splits.items()} == SIZES
    for split, records in splits.items():
        assert [r.group for r in records] == [list(TOPICS)[i % len(TOPICS)] for i in range(SIZES[split])]
        for record, row in zip(records, read_jsonl(raw / f"{split}.jsonl"), strict=True):
            assert record.source.split() == row["document"].split() and record.targets == [row["summary"]]
            assert record.targets[0] not in sentences(record.source) and len(sentences(record.targets[0])) == 1


def test_what_the_summary_copies_is_in_the_document(raw):
    """Names and numbers."""
    copied = 0
    for row in read_jsonl(raw / "train.jsonl"):
        # The first word may be one of the grammar's.
        words = re.findall(r"(?<!^)\b(?:[A-ZÀ-Ý]\w+|\d+)\b", row["summary"])
        copied += len(words)
        assert all(re.search(rf"\b{word}\b", row["document"]) for word in words), row
    assert copied > 64


def test_splits_share_no_name():
    def names(split):
        made = mini_xsum.articles(split, 200, seed=1)
        things = [thing for _, article in made for thing in (article.main, article.other)]
        referred = {fact.value for thing in things for fact in thing.facts if not fact.attribute.values}
        return referred | {thing.name for thing in things}

    train, dev, test = (names(split) for split in SIZES)
    assert len(train) > 200 and not (train & dev or train & test or dev & test)


def test_a_repeated_article_is_drawn_again(monkeypatch):
    [(_, a), (_, b)] = mini_xsum.articles("train", 2, seed=1)
    drawn = iter([a, a, b])
    monkeypatch.setattr(mini_xsum, "draw_article", lambda *_, **__: next(drawn))
    assert [article for _, article in mini_xsum.articles("train", 2, seed=1)] == [a, b]
