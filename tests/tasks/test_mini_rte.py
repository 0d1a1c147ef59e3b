"""Generated rows of RTE and CoNLL-2003: balanced, told by nothing but the premise, with names of their split."""

import re
from collections import Counter

import pytest

from stages.tasks import Linearize, task_of
from stages.tasks.common.generated import Generated
from stages.tasks.mini_conll2003 import sentence
from stages.tasks.mini_rte import rows
from stages.world.names import owner

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)
SIZES = Generated(seed=1, train=60, dev=20, test=40)


def test_rows_are_distinct_balanced_and_the_same_again():
    found = rows("train", 60, 1)
    assert found == rows("train", 60, 1) != rows("train", 60, 2)
    assert len({row["premise"] for row in found}) == 60
    assert [row["label"] for row in found[:4]] == ["entailment", "not_entailment"] * 2


@pytest.mark.parametrize("task", ["mini_rte", "mini_conll2003"])
def test_the_files_are_those_of_the_original(task, tmp_path):
    task_of(task).download(SIZES, tmp_path / "raw")
    found = task_of(task).linearize(tmp_path / "raw", OPTIONS)
    assert {split: len(records) for split, records in found.items()} == {"train": 60, "dev": 20, "test": 40}
    sources = [record.source for records in found.values() for record in records]
    assert all(sources)


def test_a_hypothesis_is_about_the_thing_of_its_premise():
    """It says one fact: not the premise again, but with a name that the premise has."""
    for row in rows("dev", 30, 1):
        assert len(row["hypothesis"]) < len(row["premise"])
        names = re.findall(r"[A-Z]\w+", row["hypothesis"])
        assert any(name in row["premise"] for name in names)


def test_what_is_asked_about_does_not_tell_the_answer():
    """Facts of every kind, other things' names among them, are asked about under both labels."""
    found = {label: Counter() for label in ("entailment", "not_entailment")}
    for row in rows("train", 600, 1):
        said = row["hypothesis"].lower()
        for kind, pattern in (("near", r"near|close to"), ("price", "price"), ("rating", "rat"), ("by", " by ")):
            found[row["label"]][kind] += bool(re.search(pattern, said))
    for kind in ("near", "price", "rating", "by"):
        one, other = (found[label][kind] for label in found)
        assert min(one, other) > 20 and max(one, other) < 2 * min(one, other), (kind, found)


def test_things_in_sentences_have_names_of_their_split():
    from random import Random

    rng, things = Random(1), []
    for _ in range(200):
        words, tags = sentence(rng, "dev")
        assert len(words) == len(tags)
        name = [word for word, tag in zip(words, tags, strict=True) if tag.endswith("MISC")]
        if tags.count("B-MISC") == 1:
            things.append(" ".join(name))
    assert things and {owner(name) for name in things} == {"dev"}
