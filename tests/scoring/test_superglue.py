"""SuperGLUE's metrics by hand and against scikit-learn, and the readers of its files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import UserError
from stages.scoring import superglue
from stages.scoring.scores import Scores
from stages.scoring.superglue import CB_LABELS, TASKS, normalize, word_f1


def of(metrics):
    return Scores.of(metrics).metrics


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        lines = [content] if isinstance(content, str) else map(json.dumps, content)
        path.write_text("\n".join(lines))
        return path

    return write


def score(task, hypotheses, references):
    with TASKS[task].opened() as measure:
        return of(measure(*TASKS[task].read(hypotheses, [references])))


def test_accuracy_and_labels_as_models_and_submissions_write_them(write):
    gold = write("val.jsonl", [{"idx": 7, "label": True}, {"idx": 3, "label": False}, {"idx": 4, "label": True}])
    official = write(
        "said.jsonl", [{"idx": 4, "label": "True"}, {"idx": 3, "label": True}, {"idx": 7, "label": "true"}]
    )
    assert score("superglue/boolq", official, gold) == {"accuracy": 0.6667}
    assert score("superglue/boolq", write("said.txt", " TRUE\nfalse\nI do not know\n"), gold) == {"accuracy": 0.6667}
    gold = write("val.jsonl", [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}])
    assert score("superglue/copa", write("said.jsonl", [{"idx": 1, "label": 0}, {"idx": 0, "label": "1"}]), gold) == {
        "accuracy": 1
    }
    assert score("superglue/copa", write("said.txt", "1\n\n"), gold) == {"accuracy": 0.5}


labels = st.lists(st.tuples(st.sampled_from([*CB_LABELS, "banana"]), st.sampled_from(CB_LABELS)), min_size=1)


@settings(deadline=None)
@given(labels)
def test_macro_f1_is_that_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    said, true = map(list, zip(*pairs, strict=True))
    there = sorted({*said, *true} - {"banana"})
    expected = metrics.f1_score(true, said, labels=there, average="macro", zero_division=0)
    found = of(superglue.accuracy_and_macro_f1(said, true))
    assert found["F1"] == pytest.approx(expected, abs=5.1e-5)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, said), abs=5.1e-5)


MULTIRC = [
    {"idx": 0, "passage": {"text": "t", "questions": [
        {"idx": 0, "question": "q", "answers": [{"idx": 0, "text": "a", "label": 1}, {"idx": 1, "text": "b", "label": 0}]},
        {"idx": 1, "question": "q", "answers": [{"idx": 2, "text": "a", "label": 1}, {"idx": 3, "text": "b", "label": 1}]},
    ]}},
]  # fmt: skip


def relabelled(*labels):
    """MULTIRC as a submission, the answers in another order."""
    left = list(labels)
    questions = [
        {
            "idx": question["idx"],
            "answers": [{"idx": a["idx"], "label": left.pop(0)} for a in question["answers"]][::-1],
        }
        for question in MULTIRC[0]["passage"]["questions"]
    ]
    return [{"idx": 0, "passage": {"questions": questions[::-1]}}]


@pytest.mark.parametrize(
    ("said", "expected"),
    [((1, 0, 1, 1), {"F1a": 1, "EM": 1}), ((1, 0, 1, 0), {"F1a": 0.8, "EM": 0.5}), ((0, 0, 0, 0), {"F1a": 0, "EM": 0})],
)
def test_multirc(write, said, expected):
    assert score("superglue/multirc", write("said.jsonl", relabelled(*said)), write("val.jsonl", MULTIRC)) == expected


RECORD = [
    {"idx": 0, "qas": [{"idx": 5, "answers": [{"text": "The U.S."}, {"text": "America"}]},
                       {"idx": 2, "answers": [{"text": "Ada Lovelace"}]}]},
]  # fmt: skip


def test_record(write):
    gold = write("val.jsonl", RECORD)
    assert score(
        "superglue/record", write("a.jsonl", [{"idx": 2, "label": "ada"}, {"idx": 5, "label": "US"}]), gold
    ) == {
        "F1": round((1 + 2 / 3) / 2, 4),
        "EM": 0.5,
    }
    assert score("superglue/record", write("a.txt", "america!\nthe Ada Lovelace\n"), gold) == {"F1": 1, "EM": 1}


def test_normalization():
    assert normalize("  The U.S., an  Island\tthere ") == "us island there"
    assert word_f1("a a b", "a b b") == pytest.approx(2 * 2 / 6)
    assert word_f1("", "") == 0


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([{"idx": 0, "label": "true"}], r"a\.jsonl: idx 1 has no label; 1 labels for 2 references"),
        ([{"idx": i, "label": "true"} for i in (0, 1, 2)], r"a\.jsonl: idx 2 is not in the references; 3 labels for 2"),
        ([{"idx": 0, "label": "true"}] * 2, r"a\.jsonl, line 2: idx 0 stands twice"),
        ([{"label": "true"}], r'a\.jsonl, line 1: no number under the key "idx"'),
        ("{", r"a\.jsonl, line 1: not JSON"),
    ],
)
def test_wrong_submissions(write, said, message):
    gold = write("val.jsonl", [{"idx": 0, "label": True}, {"idx": 1, "label": True}])
    with pytest.raises(UserError, match=message):
        TASKS["superglue/wsc"].read(write("a.jsonl", said), [gold])


@pytest.mark.parametrize(
    ("task", "gold", "message"),
    [
        (
            "rte",
            [{"idx": 0, "label": "neutral"}],
            r"val\.jsonl, line 1: the label must be entailment or not_entailment",
        ),
        ("wic", [{"idx": 0}], r"val\.jsonl, line 1: the label must be false or true, not ''"),
        ("record", [{"idx": 0, "qas": []}], r'val\.jsonl, line 1: nothing under the key "qas"'),
        ("record", [{"idx": 0, "qas": [{"idx": 0}]}], r'val\.jsonl, line 1: nothing under the key "answers"'),
        (
            "record",
            [{"idx": 0, "qas": [{"answers": [{"text": "a"}]}]}],
            r'val\.jsonl, line 1: no number under the key "idx"',
        ),
        ("multirc", [{"idx": 0, "passage": {}}], r'val\.jsonl, line 1: nothing under the key "passage"'),
        ("multirc", relabelled(1, 0, 2, 0), r"val\.jsonl, line 1: question 1 has a label that is not 0 or 1"),
    ],
)
def test_wrong_references(write, task, gold, message):
    with pytest.raises(UserError, match=message):
        TASKS[f"superglue/{task}"].read(write("a.jsonl", []), [write("val.jsonl", gold)])


def test_multirc_needs_every_answer(write):
    said = relabelled(1, 0, 1, 1)
    del said[0]["passage"]["questions"][0]["answers"][0]
    with pytest.raises(UserError, match=r"said\.jsonl: passage 0, question 1 needs a label for each answer"):
        TASKS["superglue/multirc"].read(write("said.jsonl", said), [write("val.jsonl", MULTIRC)])


def test_one_file_of_references_and_something_to_score(write):
    path = write("a.jsonl", [])
    with pytest.raises(UserError, match="takes one file of references"):
        TASKS["superglue/rte"].read(path, [path, path])
    with pytest.raises(UserError, match="no hypothesis to score"):
        superglue.accuracy([], [])
