"""Users of the generated world: each with a style and restaurants of his own."""

import re

import pytest

from stages.tasks import Linearize, mini_personal
from stages.tasks.mini_personal import CLOSINGS, SPLITS, Style, Users, name_of

SOURCE = Users(seed=1, users=16, fewest=3, most=9, dev=2, test=4)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    raw = tmp_path_factory.mktemp("users") / "raw"
    mini_personal.download(SOURCE, raw)
    options = Linearize(tokenize_targets=False, authors_first_entry=False)
    return {split: list(records) for split, records in mini_personal.linearize(raw, options).items()}


def test_each_user_has_as_many_records_as_the_source_says(splits):
    users = [name_of(user) for user in range(16)]
    for split, (low, high) in {"train": (3, 9), "dev": (2, 2), "test": (4, 4)}.items():
        counts = {user: sum(record.group == user for record in splits[split]) for user in users}
        assert all(low <= count <= high for count in counts.values()) and sum(counts.values()) == len(splits[split])
    assert len({sum(record.group == user for record in splits["train"]) for user in users}) > 3
    assert splits["train"][0] == mini_personal.Record(
        "train-00000", splits["train"][0].source, splits["train"][0].targets, "user_00", splits["train"][0].name
    )


def test_no_restaurant_is_known_to_two_users_or_splits(splits):
    names = [record.name for split in SPLITS for record in splits[split]]
    assert len(set(names)) == len(names)


def test_users_end_and_open_in_their_own_ways(splits):
    for split in SPLITS:
        for record in splits[split]:
            [text] = record.targets
            assert text.endswith(" " + CLOSINGS[int(record.group[-2:])]) and record.name in text
    opened = {record.group: record.targets[0] for record in splits["test"]}
    assert opened["user_02"].startswith("There is a") and opened["user_05"].startswith("Looking for ")
    assert opened["user_07"].startswith("Visit ") and re.match(r"Do you know .+\? It is an? ", opened["user_09"])
    assert len({Style.of(user, 1) for user in range(16)}) == 16 and Style.of(3, 1) == Style.of(3, 1) != Style.of(3, 2)
