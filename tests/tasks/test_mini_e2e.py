"""The generated task: reproducible, its splits disjoint, in the challenge's own files."""

from stages.tasks import Linearize, mini_e2e
from stages.tasks.common.generated import GeneratedTexts

SOURCE = GeneratedTexts(seed=1, train=60, dev=20, test=20, references=8)


def test_files_are_a_function_of_the_seed(tmp_path):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        mini_e2e.download(SOURCE.model_copy(update={"seed": seed}), tmp_path / out)
    a, b, c = ([(p.name, p.read_bytes()) for p in sorted((tmp_path / out).iterdir())] for out in "abc")
    assert a == b != c


def test_splits_share_no_name_and_no_source(tmp_path):
    mini_e2e.download(SOURCE, tmp_path / "raw")
    splits = mini_e2e.linearize(tmp_path / "raw", Linearize(tokenize_targets=False, authors_first_entry=False))
    assert {split: len(records) for split, records in splits.items()} == {"train": 60, "dev": 20, "test": 20}

    def names(records):
        return {
            field.split(" : ")[1]
            for r in records
            for field in r.source.split(" | ")
            if field.startswith(("name", "near"))
        }

    train, dev, test = (names(splits[split]) for split in ("train", "dev", "test"))
    assert train and dev and test and not (train & dev or train & test or dev & test)
    for record in splits["test"]:
        assert record.source.startswith(f"name : {record.name}") and all(
            record.name in target for target in record.targets
        )
        assert 5 <= len(record.targets) <= 11
    varied = sum(len(set(record.targets)) for record in splits["train"]) / sum(len(r.targets) for r in splits["train"])
    assert varied > 0.8
