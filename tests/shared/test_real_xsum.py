"""160 articles of XSum: topics, exact beginnings of sources, and a division."""

import json
from collections import Counter
from pathlib import Path

import pytest

from stages import params
from stages.core.errors import UserError
from stages.tasks import Linearize, xsum

pytestmark = [pytest.mark.shared, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared"
SAMPLE = SHARED / "data/xsum/sample.jsonl"


@pytest.fixture(scope="module")
def source():
    hub = params.load(Path(__file__).parents[2] / "params.yaml").sources["xsum"]
    return hub.model_copy(update={"root": str(SAMPLE), "split_seed": 1})


@pytest.fixture(scope="module")
def splits(source, tmp_path_factory):
    raw = tmp_path_factory.mktemp("xsum") / "raw"
    xsum.download(source, raw)
    return xsum.linearize(raw, Linearize(tokenize_targets=False, authors_first_entry=False))


def test_counts(splits):
    assert {split: len(records) for split, records in splits.items()} == {"train": 128, "dev": 16, "test": 16}
    records = [r for part in splits.values() for r in part]
    assert {r.id for r in records} == {json.loads(line)["id"] for line in SAMPLE.read_text("utf-8").splitlines()}
    assert all(len(r.targets) == 1 and "\n" not in r.source + r.targets[0] for r in records)
    assert Counter(r.group for r in records) == {
        "uk": 74, "world": 27, "sport": 27, "business": 8, "technology": 5, "entertainment": 4, "education": 4,
        "newsround": 3, "health": 2, "newsbeat": 2, "election": 2, "science": 1, "news": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "group", "beginning"),
    [
        ("29604402", "entertainment", "Mukherjee's The Lives Of Others, a sweeping account of life "),
        ("35419902", "sport", "Gatland won a first clean sweep in his maiden Six Nations as"),
        ("34737471", "world", "The boy, Julian Hernandez, disappeared when he was five and "),
        ("30280942", "uk", "About 80,000 works of art, ceramics, manuscripts, letters an"),
        ("33261110", "business", "Mr Charney, who also founded the company, was ousted last ye"),
    ],
)
def test_sources(splits, name, group, beginning):
    [record] = [r for part in splits.values() for r in part if r.id == name]
    assert (record.group, record.source[: len(beginning)]) == (group, beginning)


def test_the_sample_is_of_the_test_set_alone(source, tmp_path):
    with pytest.raises(UserError, match=r"no rows of the train split: set sources.xsum.split_seed to a number"):
        xsum.download(source.model_copy(update={"split_seed": None}), tmp_path / "raw")
