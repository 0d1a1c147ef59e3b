"""Rows that the project divides itself: copies stay in one split, where a task says nothing of what rows share."""

import json
from random import Random

import pytest

from stages.core.errors import UserError
from stages.tasks.common.rows import DataSet, SplitRowsSource, divided, fetch_rows

DATA = DataSet("X", None, ("sentence1", "sentence2", "label"))


def source(root="x", divide=False):
    return SplitRowsSource(root=str(root), dataset="x", revision="main", dev_share=0.1, divide=divide)


def row(number, **others):
    return {"sentence1": f"He {number}.", "sentence2": "She.", "label": number % 2, "idx": number} | others


def fetched(tmp_path, rows, divide):
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    for name in ("train", "val"):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    fetch_rows(source(root, divide), DATA, tmp_path / "raw")
    texts = ((tmp_path / "raw" / f"{split}.jsonl").read_text() for split in ("train", "dev", "test"))
    return [[json.loads(line) for line in text.splitlines()] for text in texts]


def pairs(rows):
    return {(" ".join(one["sentence1"].split()), one["sentence2"]) for one in rows}


@pytest.mark.parametrize("divide", [False, True])
def test_copies_are_in_one_split(tmp_path, divide):
    """Also with another label or number, and other white space."""
    copies = [row(number, idx=100 + number, label=0, sentence1=f"He  {number}.\n") for number in range(40)]
    train, dev, test = fetched(tmp_path, [row(number) for number in range(40)] + copies, divide)
    assert len(dev) == 8 and not pairs(train) & pairs(dev)
    assert len(train) == (64 if divide else 72) and len(test) == (8 if divide else 80)
    assert not divide or not pairs(test) & (pairs(train) | pairs(dev))


def test_rows_without_copies_are_divided_as_they_are_shuffled(tmp_path):
    order = list(range(20))
    Random("split").shuffle(order)
    train, dev, test = ([one["idx"] for one in part] for part in fetched(tmp_path, [row(n) for n in range(20)], True))
    assert (train, dev, test) == (order[:-4], order[-3:-5:-1], order[:-3:-1])


def test_half_of_a_text_is_no_copy(tmp_path):
    """Of WiC's pairs, say, many share one sentence."""
    train, dev, _ = fetched(tmp_path, [row(0, sentence2=f"She {n}.", idx=n) for n in range(20)], False)
    assert len(train) == 18 and len(dev) == 2


def test_each_split_gets_a_text_where_there_are_three():
    rows = [row(0)] * 10 + [row(1)] * 10 + [row(2)] * 10
    splits = divided([], rows, source(divide=True), lambda row: row["sentence1"])
    assert {split: len(part) for split, part in splits.items()} == {"train": 10, "dev": 10, "test": 10}
    with pytest.raises(UserError, match=r"^x has too few rows about different texts: none is left for the train"):
        divided([], rows[:20], source(divide=True), lambda row: row["sentence1"])
