"""QQP, MRPC and from one to the other: strings, words for classes, scores; SQuAD to MRQA."""

import json

import pytest

from stages.core.errors import UserError
from stages.scoring.scores import Scores
from stages.tasks import Linearize, task_of
from stages.tasks.common.rows import RowsSource, SplitRowsSource
from stages.tasks.squad_to_mrqa import Shift, padded

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)


def source(root):
    return SplitRowsSource(root=str(root), dataset="x", revision="main", dev_share=0.25, divide=False)


def lines(root):
    return RowsSource(root=str(root), dataset="x", revision="main")


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def qqp(label, number=0):
    return {"question1": f"Why {number}?", "question2": "How so?", "label": label, "idx": number}


def mrpc(label, number=0):
    return {"sentence1": f"He {number}.", "sentence2": "She.", "label": label, "idx": number}


@pytest.fixture
def files(tmp_path):
    for folder, row in (("QQP", qqp), ("MRPC", mrpc)):
        for name in ("train", "validation"):
            write(tmp_path / folder / f"{name}.jsonl", [row(i % 2, i) for i in range(8)])
    return tmp_path


@pytest.mark.parametrize(("task", "strings"), [
    ("qqp", [("question1: Why 0? question2: How so?", ["not_duplicate"]), ("question1: Why 1? question2: How so?", ["duplicate"])]),
    ("mrpc", [("sentence1: He 0. sentence2: She.", ["not_equivalent"]), ("sentence1: He 1. sentence2: She.", ["equivalent"])]),
])  # fmt: skip
def test_strings(task, strings, files):
    task_of(task).download(source(files), files / "raw")
    found = task_of(task).linearize(files / "raw", OPTIONS)
    assert [(r.source, r.targets) for r in found["test"][:2]] == strings
    assert {split: len(records) for split, records in found.items()} == {"train": 6, "dev": 2, "test": 8}


def numbers(task, hypotheses, records):
    with task_of(task).metrics.scorer() as score:
        return Scores.of(score(*task_of(task).postprocess(hypotheses, records))).metrics


def test_from_one_to_the_other_classes_are_translated(files):
    """What is tested on needs no training rows."""
    (files / "MRPC/train.jsonl").unlink()
    task_of("qqp_to_mrpc").download(source(files), files / "raw")
    found = task_of("qqp_to_mrpc").linearize(files / "raw", OPTIONS)
    assert found["train"][0].source.startswith("question1") and found["test"][0].source.startswith("sentence1")
    said = ["duplicate" if r.targets == ["equivalent"] else "not_duplicate" for r in found["test"]]
    assert numbers("qqp_to_mrpc", said, found["test"]) == {"accuracy": 1.0, "F1": 1.0}
    assert numbers("mrpc_to_qqp", ["equivalent"] * 8, found["train"] + found["dev"]) == {"accuracy": 0.5, "F1": 0.6667}


def test_what_is_no_label_counts_as_the_other_one(files):
    """T5's F1 with invalid predictions: of gold 1, 1, 0, 0 and said 1, nonsense, nonsense, 0 tp 1, fn 1, fp 1."""
    task_of("qqp").download(source(files), files / "raw")
    by_label = {r.targets[0]: r for r in task_of("qqp").linearize(files / "raw", OPTIONS)["test"]}
    positive, negative = by_label["duplicate"], by_label["not_duplicate"]
    found = numbers("qqp", ["duplicate", "x", "x", "not_duplicate"], [positive, positive, negative, negative])
    assert found == {"accuracy": 0.5, "F1": 0.5}


@pytest.mark.parametrize("label", [2, 1.0, "1", None])
def test_a_broken_row_is_named(files, label):
    write(files / "QQP/train.jsonl", [qqp(label if i % 2 else 0, i) for i in range(8)])
    task_of("qqp").download(source(files), files / "raw")
    with pytest.raises(UserError, match=r"\.jsonl, row \d: question1 and question2 must be texts, label 0 or 1"):
        task_of("qqp").linearize(files / "raw", OPTIONS)


@pytest.mark.parametrize(("text", "expected"), [
    ("It's 50% off_line.", "It ' s 50 % off _ line ."),
    ("  (a)  b\n", "( a ) b"),
    ("naïve – “£3”?", "naïve – “£3” ?"),
])  # fmt: skip
def test_punctuation_is_set_apart(text, expected):
    assert padded(text) == expected


def squad(number):
    answers = {"text": ["the hill", "hill."], "answer_start": [0, 4]}
    context = f"On the hill {number}."
    return {"id": f"q{number}", "title": "t", "context": context, "question": "Where?", "answers": answers}


@pytest.mark.parametrize(("change", "said"), [
    ({"answers": {"text": [], "answer_start": []}}, r"row \d: question, context and at least one answer must be texts"),
    ({"answers": ["the hill"]}, r"row \d: question, context and at least one answer must be texts"),
    ({"question": None}, r"row \d: question, context and at least one answer must be texts"),
])  # fmt: skip
def test_a_broken_question_of_squad_is_named(tmp_path, change, said):
    for name in ("train", "validation"):
        write(tmp_path / "SQuAD" / f"{name}.jsonl", [squad(i) | change for i in range(8)])
    write(
        tmp_path / "mrqa/A.jsonl", [{"context": "Ann.", "qas": [{"qid": "b1", "question": "Who?", "answers": ["Ann"]}]}]
    )
    task = task_of("squad_to_mrqa")
    task.download(Shift(learnt=source(tmp_path), tested=lines(tmp_path / "mrqa")), tmp_path / "raw")
    with pytest.raises(UserError, match=rf"learnt/train\.jsonl, {said}"):
        task.linearize(tmp_path / "raw", OPTIONS)


@pytest.mark.parametrize(("line", "said"), [
    ({"context": "Ann.", "qas": [{"question": "Who?", "answers": ["Ann"]}]}, "a question must have qid, question and answers"),
    ({"context": "Ann.", "qas": ["Who?"]}, "a question must have qid, question and answers"),
    ({"context": "Ann."}, "must be a context with its questions, qas"),
])  # fmt: skip
def test_a_broken_line_of_mrqa_is_named(tmp_path, line, said):
    for name in ("train", "validation"):
        write(tmp_path / "SQuAD" / f"{name}.jsonl", [squad(i) for i in range(8)])
    write(tmp_path / "mrqa/A.jsonl", [{"header": {}}, line])
    with pytest.raises(UserError, match=rf"A\.jsonl, line 2: {said}"):
        task_of("squad_to_mrqa").download(
            Shift(learnt=source(tmp_path), tested=lines(tmp_path / "mrqa")), tmp_path / "raw"
        )


def test_squad_to_mrqa(tmp_path):
    for name in ("train", "validation"):
        write(tmp_path / "SQuAD" / f"{name}.jsonl", [squad(i) for i in range(8)])
    qas = [{"qid": "b1", "question": "Who's it?", "answers": ["Ann", "ann"], "detected_answers": []}]
    write(tmp_path / "mrqa/BioASQ.jsonl", [{"header": {"dataset": "BioASQ"}}, {"context": "Ann.", "qas": qas}])
    task = task_of("squad_to_mrqa")
    task.download(Shift(learnt=source(tmp_path), tested=lines(tmp_path / "mrqa")), tmp_path / "raw")
    found = task.linearize(tmp_path / "raw", OPTIONS)
    assert {split: len(records) for split, records in found.items()} == {"train": 6, "dev": 2, "test": 9}
    first, last = found["train"][0], found["test"][-1]
    assert first.source.startswith("question: Where ? context: On the hill ") and first.targets == ["the hill"]
    assert (last.source, last.targets, last.group) == (
        "question: Who ' s it ? context: Ann .",
        ["Ann", "ann"],
        "BioASQ",
    )
    assert found["test"][0].targets == ["the hill", "hill ."]
    assert numbers("squad_to_mrqa", ["hill"] * 8 + ["Bob"], found["test"]) == {"F1": 0.8889, "EM": 0.8889}
    with pytest.raises(UserError, match=r"holds no .jsonl file of MRQA"):
        task.download(Shift(learnt=source(tmp_path), tested=lines(tmp_path / "SQuAD/none")), tmp_path / "raw2")
