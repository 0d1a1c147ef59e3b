"""SuperGLUE as text to text: the exact strings, what an encoder reads, and what is scored."""

import json
import re
from pathlib import Path

import pytest

from stages.scoring.scores import Scores
from stages.tasks import task_of
from stages.tasks.superglue import FORMS
from tests.tasks.conftest import HUB, OFFICIAL, OPTIONS, source

SHARED = Path(__file__).parents[3] / "shared/data/superglue"

# T5's strings without the task's name, and the targets.
EXPECTED = {
    "boolq": ("passage: It -- the inn -- is far. question: is it far", ["True"]),
    "cb": ("hypothesis: he goes premise: He may go.", ["neutral"]),
    "copa": ("choice1: It was wet. choice2: It was dry. premise: It rained. question: effect", ["choice1"]),
    "multirc": ("question: Who? answer: He paragraph: Sent 1: It rained. He went.", ["True"]),
    "record": (
        "query: @placeholder stayed entities: Ann, Bob passage: Ann met Bob. Bob left. Ann stayed", ["Ann"],
    ),
    "rte": ("hypothesis: It has a colour. premise: It is red.", ["entailment"]),
    "wic": ("sentence1: A run. sentence2: They run. word: run", ["False"]),
    "wsc": ("text: * Ann * told Bob that # she # won .", ["True"]),
    "wsc_referent": ("Ann told Bob that *she* won .", ["Ann"]),
}  # fmt: skip
PARTS = {
    "boolq": [["is it far", "It -- the inn -- is far."]],
    "cb": [["He may go.", "he goes"]],
    "copa": [["It rained. so", "It was wet."], ["It rained. so", "It was dry."]],
    "multirc": [["Sent 1: It rained. He went.", "Who? He"]],
    "record": None,
    "rte": [["It is red.", "It has a colour."]],
    "wic": [["run: A run.", "run: They run."]],
    "wsc": [["she: Ann told Bob that she won .", "Ann"]],
    "wsc_referent": None,
}
IDS = {"boolq": "3", "cb": "1", "copa": "2", "multirc": "4-7-20", "record": "5-9", "rte": "6", "wic": "8", "wsc": "9"}
IDS["wsc_referent"] = "9"


@pytest.mark.parametrize("rows", [OFFICIAL, HUB], ids=["official", "hub"])
@pytest.mark.parametrize("task", EXPECTED)
def test_strings(task, rows):
    first = next(FORMS[task].read(rows[task]))
    assert (first.source, first.targets) == EXPECTED[task]
    assert first.parts == PARTS[task] and first.id == IDS[task]


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("boolq", [(0, "False"), (1, "True"), (False, "False"), (True, "True"), ("false", "False"), ("True", "True")]),
        ("cb", [(0, "entailment"), (1, "contradiction"), (2, "neutral"), ("Neutral", "neutral")]),
        ("copa", [(0, "choice1"), (1, "choice2")]),
        ("rte", [(0, "entailment"), (1, "not_entailment"), ("entailment", "entailment")]),
        ("wic", [(0, "False"), (1, "True"), (True, "True")]),
        ("wsc", [(0, "False"), (1, "True"), (False, "False")]),
    ],
)
def test_labels_are_the_hubs_numbers_or_the_official_names(task, labels):
    for label, target in labels:
        assert next(FORMS[task].read(OFFICIAL[task] | {"label": label})).targets == [target]


@pytest.mark.parametrize(
    ("task", "label"),
    [("rte", True), ("cb", False), ("copa", True), ("rte", -1), ("rte", 2), ("boolq", -1), ("wic", 0.0), ("rte", None)],
)
def test_labels_of_another_kind_are_refused(task, label):
    """A truth value is no class of entailment, though Python takes it for a number; -1 is the hub's test set."""
    with pytest.raises(ValueError, match=re.escape(f"the label {label!r} is not ")):
        next(FORMS[task].read(OFFICIAL[task] | {"label": label}))


def test_every_answer_of_an_official_passage_is_a_record():
    found = list(FORMS["multirc"].read(OFFICIAL["multirc"]))
    assert [(r.id, r.targets) for r in found] == [("4-7-20", ["True"]), ("4-7-21", ["False"])]
    assert [r.parts[0][1] for r in found] == ["Who? He", "Who? It"]


def test_wsc_as_t5_has_its_two_odd_rows():
    """A pronoun with punctuation behind it, and a number that is that of the word before."""
    spans = {"span1_text": "John", "span1_index": 0, "span2_text": "him", "span2_index": 2}
    row = {"text": 'John: "Good for him," he said. ', "target": spans, "label": False, "idx": 0}
    assert next(FORMS["wsc_referent"].read(row)).source == 'John: "Good for *him* ," he said.'
    spans = {"span1_text": "pebble", "span1_index": 1, "span2_text": "it", "span2_index": 4}
    row = {"text": "A pebble ; they use it , but", "target": spans, "label": False, "idx": 0}
    assert next(FORMS["wsc_referent"].read(row)).source == "A pebble ; they use *it* , but"


def test_spans_of_wsc_are_made_to_stand_in_the_text():
    """As the hub's wsc.fixed has them: the case of the first letter, a stop behind it, a line break."""
    spans = {"span1_text": "The old\nBob.", "span1_index": 2, "span2_text": "she", "span2_index": 7}
    row = {"text": "Ann told the old Bob that , she won .", "target": spans, "label": True, "idx": 0}
    assert next(FORMS["wsc"].read(row)).source == "text: Ann told * the old Bob * that , # she # won ."
    assert next(FORMS["wsc_referent"].read(row)).targets == ["the old Bob"]
    lost = row | {"target": spans | {"span1_text": "Kamenev"}}
    assert next(FORMS["wsc_referent"].read(lost)).targets == ["Kamenev"]


def test_classes_are_spelled_letter_by_letter():
    """T5's: neither another case nor the official number will do."""
    for task, said in (("boolq", ["true", "1"]), ("copa", ["0", "Choice1"]), ("multirc", ["1", "true"])):
        records = list(FORMS[task].read(OFFICIAL[task]))[:1]
        for text in said:
            assert set(numbers(task, [text], records).values()) == {0.0}


def test_a_cause_is_asked_for_with_because():
    row = OFFICIAL["copa"] | {"question": "cause", "label": 1}
    first = next(FORMS["copa"].read(row))
    assert first.parts[1] == ["It rained. because", "It was dry."] and first.targets == ["choice2"]


def numbers(task, hypotheses, records):
    with task_of(task).metrics.scorer() as score:
        return Scores.of(score(*task_of(task).postprocess(hypotheses, records))).metrics


@pytest.mark.parametrize("task", EXPECTED)
def test_targets_are_right_and_other_words_wrong(task):
    records = list(FORMS[task].read(OFFICIAL[task]))
    perfect = numbers(task, [record.targets[0] for record in records], records)
    assert perfect and set(perfect.values()) == {1.0}
    wrong = numbers(task, ["nothing of the kind"] * len(records), records)
    assert set(wrong.values()) == {0.0}


def test_options_are_scored_by_question():
    rows = [
        OFFICIAL["multirc"],
        OFFICIAL["multirc"] | {"idx": 5},
    ]
    records = [record for row in rows for record in FORMS["multirc"].read(row)]
    assert numbers("multirc", ["True", "True", "True", "False"], records) == {"F1a": 0.8, "EM": 0.5}
    # What is no label is the wrong one, of an option that is false, too.
    assert numbers("multirc", ["True", "maybe"], records[:2]) == {"F1a": 0.6667, "EM": 0.0}


def test_a_referent_is_judged_as_t5_judges_it():
    """Determiners and case aside, the words of one must hold the other's; of a false row, another name is right."""

    def row(label, referent="the old Bob"):
        spans = {"span1_text": referent, "span1_index": 2, "span2_text": "she", "span2_index": 4}
        return next(FORMS["wsc_referent"].read(OFFICIAL["wsc"] | {"label": label, "target": spans}))

    records = [row(True), row(True), row(True), row(False), row(False), row(True, "Bob's hat"), row(False), row(False)]
    hypotheses = ["bob", "The old Bob and Ann", "Ann", "Ann", "Bob", "Bob", "", "the"]
    # right, right, wrong, right (Ann is not Bob), wrong, wrong (an owner is not his hat), and twice nothing said: wrong
    assert numbers("wsc_referent", hypotheses, records) == {"accuracy": 0.375}


# Built here from the fields of real rows, by other means than the tasks'.
REAL = {
    "BoolQ": lambda r: (f"passage: {r['passage']} question: {r['question']}", str(r["label"]).capitalize()),
    "CB": lambda r: (f"hypothesis: {r['hypothesis']} premise: {r['premise']}", r["label"]),
    "COPA": lambda r: (
        f"choice1: {r['choice1']} choice2: {r['choice2']} premise: {r['premise']} question: {r['question']}",
        f"choice{r['label'] + 1}",
    ),
    "RTE": lambda r: (f"hypothesis: {r['hypothesis']} premise: {r['premise']}", r["label"]),
}


@pytest.mark.shared
@pytest.mark.parametrize("dataset", REAL)
def test_real_rows(dataset, tmp_path):
    task = task_of(dataset.lower())
    task.download(source(SHARED), tmp_path / "raw")
    found = task.linearize(tmp_path / "raw", OPTIONS)["test"]
    lines = (SHARED / dataset / "val.jsonl").read_text("utf-8").splitlines()
    assert len(found) == len(lines)
    for record, line in zip(found, lines, strict=True):
        assert (record.source, record.targets[0]) == REAL[dataset](json.loads(line))


@pytest.mark.shared
def test_real_rows_of_wsc_in_marks():
    """Where both spans are words of the text at their numbers: these set between marks, one word at a time."""
    seen = 0
    for split in ("train", "val"):
        for line in (SHARED / f"WSC/{split}.jsonl").read_text("utf-8").splitlines():
            row, marks = json.loads(line), {}
            words, spans = row["text"].split(), row["target"]
            for name, mark in (("span1", "*"), ("span2", "#")):
                first, said = spans[f"{name}_index"], spans[f"{name}_text"].split()
                if words[first : first + len(said)] == said:
                    marks[first], marks[first + len(said)] = [*marks.get(first, []), mark], [mark]
            if len(marks) < 4 or "  " in row["text"]:
                continue
            [record] = FORMS["wsc"].read(row)
            expected = [part for place, word in enumerate([*words, ""]) for part in (*marks.get(place, []), word)]
            assert record.source == f"text: {' '.join(expected).rstrip()}" and record.targets == [str(row["label"])]
            seen += 1
    assert seen > 500


@pytest.mark.shared
def test_real_rows_of_wsc():
    """The pronoun is the word that the row says it is, but for two texts, as T5's authors found; spans stand in their texts."""
    odd, lost = set(), set()
    for split in ("train", "val", "test"):
        for line in (SHARED / f"WSC/{split}.jsonl").read_text("utf-8").splitlines():
            row = {"label": True} | json.loads(line)
            record = next(FORMS["wsc_referent"].read(row))
            spans, words = row["target"], row["text"].split(" ")
            marked = f"*{spans['span2_text']}*"
            if record.targets[0] not in row["text"]:
                lost.add(record.targets[0])
            if words[spans["span2_index"]] == spans["span2_text"]:
                words[spans["span2_index"]] = marked
                assert record.source == " ".join(words).rstrip()
            elif f" {marked} " in record.source:
                odd.add(row["text"])
    assert len(odd) == 2 and all("Kamenev" in text or "Zinoviev" in text for text in lost)
