"""The low-data subsets: the size asked for, by seed, nested, and no example twice."""

import pytest

from stages.core.errors import UserError
from stages.core.record import Record, write_records
from stages.core.sampling import draw, sample

RECORDS = [
    Record(f"r{i}", f"source {i}", [f"target {i}.{k}" for k in range(1 + i % 3)], name=f"n{i}") for i in range(100)
]


def pairs(records):
    return [(r.id, *r.targets) for r in records]


def test_draws_examples():
    drawn = draw(iter(RECORDS), 199, 50, 0)
    assert len(drawn) == 50 == len(set(pairs(drawn))) and all(len(r.targets) == 1 for r in drawn)
    everything = {(r.id, target) for r in RECORDS for target in r.targets}
    assert set(pairs(drawn)) <= everything
    assert pairs(drawn) == pairs(draw(RECORDS, 199, 50, 0)) != pairs(draw(RECORDS, 199, 50, 1))
    assert pairs(draw(RECORDS, 199, 100, 0))[:50] == pairs(drawn)
    assert [r.targets[0][7:] for r in drawn[:6]] == ["0.0", "71.1", "82.0", "20.0", "40.1", "19.1"], "another subset 0"


def test_cannot_draw_more_than_there_is():
    with pytest.raises(UserError, match="train_size asks for 1,000 examples where the task has 199"):
        draw(RECORDS, 199, 1000, 0)


def test_samples_of_groups(tmp_path):
    records = [Record(f"r{i}", "s", ["t", "u"], group="old" if i % 2 else "new") for i in range(40)]
    write_records(tmp_path / "train.jsonl", records)
    write_records(tmp_path / "dev.jsonl", records[:4])
    old = list(sample(tmp_path, "train", 10, 0, 0.3, {"old"}))
    assert len(old) == 10 and {r.group for r in old} == {"old"}
    for share, dev in ((0.1, 1), (0.3, 3), (0.4, 4), (0.01, 1), (1.0, 4)):
        found = list(sample(tmp_path, "dev", 10, 0, share, {"old"}))
        assert len(found) == dev, "a share of 10: one at least, and the four that there are at most"
    assert len(list(sample(tmp_path, "train", "full", 0, 0.3, ["old"]))) == 20
    assert list(sample(tmp_path, "train", "full", 0, 0.3)) == records
    with pytest.raises(UserError, match="asks for 41 examples where the task has 40"):
        sample(tmp_path, "train", 41, 0, 0.3, {"old"})
