"""SuperGLUE's files of rows: which rows are training, dev and test, and what is refused of a file."""

import json

import pytest

from stages.core.errors import UserError
from stages.tasks import task_of
from stages.tasks.common import hub
from stages.tasks.common.rows import SplitRowsSource
from stages.tasks.superglue import FORMS
from tests.tasks.conftest import HUB, OFFICIAL, OPTIONS, source


def write(directory, name, rows):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def rows(count, label="entailment"):
    return [OFFICIAL["rte"] | {"idx": i, "premise": f"It is {i}.", "label": label} for i in range(count)]


def splits(tmp_path, task="rte", **more):
    task_of(task).download(source(tmp_path, **more), tmp_path / "raw")
    return task_of(task).linearize(tmp_path / "raw", OPTIONS)


def test_the_tasks_share_a_section_and_name_their_data_set_on_the_hub(tmp_path, monkeypatch):
    asked = []

    def load(dataset, config, revision, splits, instead):
        asked.append((dataset, config, revision))
        return {split: [] for split in splits}

    monkeypatch.setattr(hub, "load", load)
    nowhere = SplitRowsSource(root=None, dataset="some/where", revision="main", dev_share=0.1, divide=False)
    for task in FORMS:
        assert task_of(task).section == "superglue"
        with pytest.raises(UserError, match=r"^some/where has too few rows"):
            task_of(task).download(nowhere, tmp_path / "raw")
    configs = ["boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc.fixed", "wsc.fixed"]
    assert asked == [("some/where", config, "main") for config in configs]


def test_the_validation_set_is_the_test_split_and_dev_a_share_of_the_training_rows(tmp_path):
    write(tmp_path / "RTE", "train.jsonl", rows(40))
    write(tmp_path / "RTE", "val.jsonl", rows(7, "not_entailment"))
    found = splits(tmp_path)
    assert {split: len(records) for split, records in found.items()} == {"train": 36, "dev": 4, "test": 7}
    assert {r.targets[0] for r in found["test"]} == {"not_entailment"}
    assert len({r.source for split in ("train", "dev") for r in found[split]}) == 40


def test_or_is_divided(tmp_path):
    """The validation rows, without a file of training rows."""
    write(tmp_path, "val.jsonl", rows(50, "not_entailment"))
    found = splits(tmp_path, divide=True)
    assert {split: len(records) for split, records in found.items()} == {"train": 40, "dev": 5, "test": 5}
    assert len({r.source for records in found.values() for r in records}) == 50


def test_rows_about_one_text_stay_together(tmp_path):
    """Answers to one question in training and dev would be no test of anything."""

    def row(paragraph, answer):
        return HUB["multirc"] | {"idx": {"paragraph": paragraph, "question": 0, "answer": answer}}

    for name in ("train", "val"):
        write(tmp_path, f"{name}.jsonl", [row(paragraph, answer) for paragraph in range(20) for answer in range(3)])
    for divide in (False, True):
        task_of("multirc").download(source(tmp_path, divide=divide), tmp_path / f"raw{divide}")
        found = task_of("multirc").linearize(tmp_path / f"raw{divide}", OPTIONS)
        paragraphs = {split: {r.id.split("-")[0] for r in records} for split, records in found.items()}
        assert len(found["dev"]) == 6 and not paragraphs["train"] & paragraphs["dev"]
        assert not divide or not paragraphs["train"] & paragraphs["test"]
        assert sum(len(records) for records in found.values()) == (60 if divide else 120)


def test_the_referent_is_learned_from_true_rows_alone(tmp_path):
    both = [
        OFFICIAL["wsc"] | {"idx": i, "label": i % 2 == 0, "text": f"Ann told Bob that she won {i // 2} ."}
        for i in range(20)
    ]
    write(tmp_path, "train.jsonl", both)
    write(tmp_path, "val.jsonl", both)
    found = splits(tmp_path, "wsc_referent")
    assert len(found["train"]) + len(found["dev"]) == 10 and len(found["test"]) == 20
    write(tmp_path / "false", "train.jsonl", [row | {"label": False} for row in both])
    write(tmp_path / "false", "val.jsonl", both)
    with pytest.raises(UserError, match=r"train\.jsonl has no row whose label is true, and is learnt from these alone"):
        splits(tmp_path / "false", "wsc_referent")


@pytest.mark.parametrize(("line", "message"), [
    ('{"premise": "a", "label": "entailment", "idx": 1}', "line 2: key hypothesis is missing"),
    ('{"premise": "a", ', "line 2: not JSON"),
    ("[1]", "line 2: must be an object with premise and hypothesis and label"),
    ('{"premise": "a", "hypothesis": "b", "label": "maybe", "idx": 1}',
     "row 2: no row of RTE .the label 'maybe' is not entailment or not_entailment."),
    ('{"premise": null, "hypothesis": "b", "label": "entailment", "idx": 1}',
     "row 2: no row of RTE .premise is None, which is no text."),
])  # fmt: skip
def test_a_broken_line_is_named(tmp_path, line, message):
    write(tmp_path / "raw", "train.jsonl", rows(1))
    with open(tmp_path / "raw/train.jsonl", "a", encoding="utf-8") as out:
        out.write(line + "\n")
    with pytest.raises(UserError, match=f"train.jsonl, {message}"):
        task_of("rte").linearize(tmp_path / "raw", OPTIONS)


@pytest.mark.parametrize(
    ("task", "key"), [("boolq", "passage"), ("multirc", "idx"), ("record", "idx"), ("rte", "premise")]
)
def test_a_row_without_the_text_it_is_about_is_named_before_the_rows_are_divided(tmp_path, task, key):
    for name in ("train", "val"):
        write(tmp_path, f"{name}.jsonl", [OFFICIAL[task], {k: v for k, v in OFFICIAL[task].items() if k != key}])
    with pytest.raises(UserError, match=f"train.jsonl, line 2: key {key} is missing"):
        task_of(task).download(source(tmp_path), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(("task", "other"), [("multirc", "passage"), ("record", "paragraph")])
def test_a_row_of_another_form_is_named_where_rows_are_divided(tmp_path, task, other):
    for name in ("train", "val"):
        write(tmp_path, f"{name}.jsonl", [HUB[task] | {"idx": {other: 1}, "passage": ""}] * 3)
    with pytest.raises(UserError, match=r"a row does not say what it is about \('pa.*'\): "):
        task_of(task).download(source(tmp_path), tmp_path / "raw")


@pytest.mark.parametrize("task", ["rte", "cb"])
def test_sentences_about_one_premise_stay_together(tmp_path, task):
    label = OFFICIAL[task]["label"]
    rows = [{"premise": f"p{i // 3}", "hypothesis": f"h{i}", "label": label, "idx": i} for i in range(60)]
    for name in ("train", "val"):
        write(tmp_path, f"{name}.jsonl", rows)
    found = splits(tmp_path, task, divide=True)
    premises = [{record.parts[0][0] for record in found[split]} for split in ("train", "dev", "test")]
    assert len(set.union(*premises)) == 20 == sum(map(len, premises)) and len(found["dev"]) == 6


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path, "train.jsonl", rows(1))
    with pytest.raises(UserError, match=r"holds no val.jsonl or validation.jsonl or dev.jsonl"):
        task_of("rte").download(source(tmp_path), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
