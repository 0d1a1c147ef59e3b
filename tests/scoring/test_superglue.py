"""SuperGLUE's metrics against values worked out by hand, naive counts and scikit-learn; its files and their errors."""

import json
import re
import string
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import UserError
from stages.scoring.scores import Scores
from stages.scoring.superglue import CHOICE, COMMITMENT, TASKS, accuracy_and_macro_f1, answers, options

commitment = partial(accuracy_and_macro_f1, COMMITMENT)
labels = st.lists(st.tuples(st.sampled_from([*COMMITMENT, "maybe", ""]), st.sampled_from(COMMITMENT)), min_size=1)
option = st.tuples(st.sampled_from(["0", "1", "1", "yes"]), st.sampled_from(CHOICE))
questions = st.lists(st.lists(option, min_size=1, max_size=4), min_size=1, max_size=6)
text = st.lists(st.sampled_from(["The", "a", "k", "K.", "l", "l,m", "—", "the—k", "A.", ""]), max_size=5).map(" ".join)
queries = st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1, max_size=5)


def sides(pairs):
    return [mine for mine, _ in pairs], [gold for _, gold in pairs]


def exact(metrics):
    """With all their digits."""
    return {name: metric.number(metric.segments.sum(axis=0)) for name, metric in metrics.items()}


def test_accuracy_and_macro_f1_by_hand():
    entailment, contradiction, neutral = COMMITMENT
    gold = [entailment, entailment, entailment, contradiction, contradiction, neutral]
    mine = [entailment, entailment, contradiction, contradiction, "perhaps", entailment]
    # entailment: 2 right, 1 false, 1 missed; contradiction: 1, 1, 1; neutral: 0, 0, 1
    expected = {"accuracy": 3 / 6, "F1": (4 / 6 + 2 / 4 + 0) / 3}
    assert exact(commitment(mine, gold)) == pytest.approx(expected)
    assert Scores.of(commitment(mine, gold)).metrics == {"accuracy": 0.5, "F1": 0.3889}
    # In the third and fourth segment alone two classes occur, in the last no prediction that is one.
    assert Scores.of(commitment(mine, gold), np.array([2, 3])).metrics == {"accuracy": 0.5, "F1": 0.3333}
    assert Scores.of(commitment(mine, gold), np.array([4])).metrics == {"accuracy": 0.0, "F1": 0.0}


@settings(deadline=None)
@given(labels)
def test_macro_f1_equals_scikit_learns(pairs):
    sklearn = pytest.importorskip("sklearn.metrics")
    mine, gold = sides(pairs)
    occurring = [name for name in COMMITMENT if name in mine + gold]
    f1 = sklearn.f1_score(gold, mine, labels=occurring, average="macro", zero_division=0)
    expected = {"accuracy": sklearn.accuracy_score(gold, mine), "F1": f1}
    assert exact(commitment(mine, gold)) == pytest.approx(expected, abs=1e-12)
    if set(mine) <= set(COMMITMENT):
        assert f1 == sklearn.f1_score(gold, mine, average="macro", zero_division=0)


def test_options_by_hand():
    gold = [["1", "0", "1"], ["0", "0"], ["1", "1"], ["0", "1"]]
    mine = [["1", "0", "1"], ["1", "0"], ["1", "x"], ["y", "1"]]
    # 4 of 5 found, one of the 5 that are said to be right is not; the y is wrong, but no 1
    assert exact(options(mine, gold)) == {"F1a": pytest.approx(4 / 5), "EM": 1 / 4}
    assert Scores.of(options(mine, gold), np.array([1, 2])).metrics == {"F1a": 0.5, "EM": 0.0}
    assert Scores.of(options(mine, gold), np.array([1])).metrics == {"F1a": 0.0, "EM": 0.0}


@settings(deadline=None)
@given(questions)
def test_options_equal_scikit_learns_f1_and_a_naive_count(sets):
    sklearn = pytest.importorskip("sklearn.metrics")
    mine, gold = sides([sides(question) for question in sets])
    flat_mine, flat_gold = sides([pair for question in sets for pair in question])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without any 1 it is 0, and scikit-learn warns
        f1 = sklearn.f1_score(flat_gold, flat_mine, labels=["1"], average="macro")
    errors = [sum(a != b for a, b in question) for question in sets]
    expected = {"F1a": f1, "EM": errors.count(0) / len(sets)}
    assert exact(options(mine, gold)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("mine", "gold", "f1", "em"),
    [
        ("Kel Lom", ["kel  lom"], 1, 1),
        ("the Kel, Lom!", ["A Kel-Lom"], 0, 0),  # punctuation goes, and leaves one word
        ("Kel Lom", ["Lom Kel"], 1, 0),
        ("Kel Lom", ["Nar", "Kel Lom Nar", "Nar Kel"], 2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3), 0),
        ("Kel Kel Lom", ["Kel"], 2 * (1 / 3) * 1 / (1 / 3 + 1), 0),  # a word counts as often as in both
        ("Kel", ["Nar", "kel"], 1, 1),
        ("Kel—the Lom", ["Kel— Lom"], 1, 1),  # an article is one beside any sign, not only in a word of its own
        ("a.n Kel", ["Kel"], 1, 1),  # punctuation goes before the articles
        ("theatre", ["atre"], 0, 0),
        ("Sonata", ["Sonat"], 0, 0),
        ("The", ["a"], 0, 1),  # SQuAD 1.1 too finds the same text, and no word in common
        ("", ["Kel"], 0, 0),
    ],
)
def test_answers_by_hand(mine, gold, f1, em):
    assert exact(answers([mine], [gold])) == {"F1": pytest.approx(f1), "EM": em}


def naive_answers(mine, golds):
    """F1 and EM of one question by removing the common words one at a time."""

    def words(text):
        kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
        return [word for word in re.sub(r"(?<!\w)(the|an|a)(?!\w)", " ", kept).split() if word]

    def f1(gold):
        left, common = words(gold), 0
        for word in words(mine):
            if word in left:
                left.remove(word)
                common += 1
        precision, recall = (common / len(side) if common else 0 for side in (words(mine), words(gold)))
        return 2 * precision * recall / (precision + recall) if common else 0

    return max(map(f1, golds)), max(" ".join(words(mine)) == " ".join(words(gold)) for gold in golds)


@settings(deadline=None)
@given(queries)
def test_answers_equal_a_naive_count(pairs):
    expected = np.mean([naive_answers(mine, golds) for mine, golds in pairs], axis=0)
    assert exact(answers(*sides(pairs))) == pytest.approx({"F1": expected[0], "EM": expected[1]}, abs=1e-12)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    directory = tmp_path_factory.mktemp("superglue")

    def write(name, content):
        path = directory / name
        if not isinstance(content, str):
            content = "".join(json.dumps(record) + "\n" for record in content)
        path.write_bytes(content.encode())
        return path

    return write


def score(task, hypotheses, gold):
    task = TASKS[f"superglue/{task}"]
    with task.opened() as measure:
        return Scores.of(measure(*task.read(hypotheses, [gold]))).metrics


def labelled(*values):
    return [{"idx": idx, "label": value} for idx, value in enumerate(values)]


ANY = ["boolq", "cb", "copa", "rte", "wic", "wsc"]
NAMES = {"cb": COMMITMENT, "rte": ("entailment", "not_entailment"), "copa": (0, 1)}


@pytest.mark.parametrize("task", ANY)
@settings(deadline=None)
@given(data=st.data())
def test_hypotheses_are_matched_by_idx_or_in_order(write, task, data):
    label = st.sampled_from(NAMES.get(task, (True, False, "true", "false")))
    pairs = data.draw(st.lists(st.tuples(label, label), min_size=1, max_size=8))
    mine, gold = sides(pairs)
    share = sum(str(a).lower() == str(b).lower() for a, b in pairs) / len(pairs)
    gold = write("val.jsonl", labelled(*gold))
    shuffled = write("hyp.jsonl", data.draw(st.permutations(labelled(*mine))))
    lines = write("hyp.txt", "".join(f"{label}\n" for label in mine))
    assert score(task, shuffled, gold)["accuracy"] == score(task, lines, gold)["accuracy"] == round(share, 4)


@pytest.mark.parametrize(
    ("task", "gold", "hypotheses", "right"),
    [
        ("boolq", ["true", "false", True], "True\n FALSE \ntrue.\n", [True, True, False]),
        ("wsc", [False, False, False], ["False", 0, "no"], [True, False, False]),
        ("wic", [True, True], [1, True], [False, True]),
        ("copa", [0, 1, 1], ["0", " 1", True], [True, True, False]),
        ("rte", ["entailment", "not_entailment"], "Entailment\nnot entailment\n", [True, False]),
        ("rte", ["entailment", "not_entailment"], "\nnot_entailment", [False, True]),
    ],
)
def test_which_labels_are_the_same(write, task, gold, hypotheses, right):
    name = "hyp.txt" if isinstance(hypotheses, str) else "hyp.jsonl"
    hypotheses = write(name, hypotheses if isinstance(hypotheses, str) else labelled(*hypotheses))
    mine, golds = TASKS[f"superglue/{task}"].read(hypotheses, [write("val.jsonl", labelled(*gold))])
    assert [a == b for a, b in zip(mine, golds, strict=True)] == right


def passage(idx, *questions):
    """MultiRC's record of questions, {question idx: {answer idx: label}}."""
    return {
        "idx": idx,
        "passage": {
            "text": "k",
            "questions": [
                {"idx": q, "answers": [{"idx": a, "label": label} for a, label in answers.items()]}
                for q, answers in questions
            ],
        },
    }


def test_multirc_files(write):
    # The numbers of questions and answers begin anew in each passage.
    gold = write("val.jsonl", [passage(0, (0, {0: 1, 1: 0}), (1, {0: 0})), passage(1, (0, {0: 1, 1: 1}))])
    mine = [passage(1, (0, {1: "1", 0: 0})), passage(0, (1, {0: 0}), (0, {1: 1, 0: 1}))]
    assert TASKS["superglue/multirc"].read(write("hyp.jsonl", mine), [gold]) == (
        [["1", "1"], ["0"], ["0", "1"]],
        [["1", "0"], ["0"], ["1", "1"]],
    )
    assert score("multirc", write("hyp.jsonl", mine), gold) == {"F1a": round(4 / 6, 4), "EM": 0.3333}


def test_record_files(write):
    def record(idx, *queries):
        answers = {q: [{"start": 0, "end": 1, "text": text} for text in texts] for q, texts in queries}
        return {"idx": idx, "passage": {"text": "k"}, "qas": [{"idx": q, "answers": a} for q, a in answers.items()]}

    gold = write("val.jsonl", [record(0, (0, ["Kel", "Kel Lom"]), (1, ["Nar"])), record(1, (2, ["Lom"]))])
    mine = labelled("the KEL", "Kel", "Lom Nar")
    assert score("record", write("hyp.jsonl", mine[::-1]), gold) == {"F1": round((1 + 0 + 2 / 3) / 3, 4), "EM": 0.3333}
    lines = write("hyp.txt", "the KEL\nKel\nLom Nar\n")
    assert score("record", lines, gold) == score("record", write("hyp.jsonl", mine), gold)


TWO = labelled("true", "false")
PASSAGE = [passage(0, (0, {0: 1, 1: 0}))]
QUERY = [{"idx": 0, "qas": [{"idx": 0, "answers": [{"text": "k"}]}]}]


@pytest.mark.parametrize(
    ("task", "hypotheses", "gold", "message"),
    [
        ("boolq", TWO[:1], TWO, r"hyp\.jsonl: no idx 1, which is in .*val\.jsonl, line 2$"),
        ("boolq", labelled(*"kkk"), TWO, r"hyp\.jsonl, line 3: idx 2, which .*val\.jsonl does not have$"),
        ("boolq", [TWO[0], TWO[0]], TWO, r"hyp\.jsonl, line 2: idx 0 again, after line 1$"),
        ("boolq", TWO, [TWO[1], TWO[1]], r"val\.jsonl, line 2: idx 1 again, after line 1$"),
        ("boolq", '\n{"idx": 0', TWO, r"hyp\.jsonl, line 2: not JSON \("),
        ("boolq", [{"idx": 0}], TWO, r'hyp\.jsonl, line 1: not of the form {"idx": 0, "label": "true"}$'),
        ("boolq", [{"idx": "0", "label": "true"}], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", [{"idx": True, "label": "true"}], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", labelled(None), TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", [["idx", "label"]], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", "7", TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", TWO, [{"idx": 0}], r'val\.jsonl, line 1: not of the form {"idx": 0, "label": "true"}$'),
        ("boolq", TWO, labelled(True, "maybe"), r"val\.jsonl, line 2: the label 'maybe' is not true or false$"),
        ("copa", TWO, labelled(0, True), r"val\.jsonl, line 2: the label True is not 0 or 1$"),
        ("cb", TWO, labelled("true"), r"line 1: the label 'true' is not entailment or contradiction or neutral$"),
        ("rte", TWO, "{", r"val\.jsonl, line 1: not JSON \("),
        ("wsc", TWO, "\n", r"val\.jsonl: nothing to score; a line is of the form {"),
        (
            "multirc",
            [passage(0, (0, {0: 1}))],
            PASSAGE,
            r"hyp\.jsonl: no passage idx 0, question idx 0, answer idx 1, which is in .*val\.jsonl, line 1$",
        ),
        (
            "multirc",
            [*PASSAGE, passage(1, (0, {0: 1}))],
            PASSAGE,
            r"hyp\.jsonl, line 2: passage idx 1, question idx 0, answer idx 0, which .*val\.jsonl does not have$",
        ),
        ("multirc", PASSAGE * 2, PASSAGE, r"line 2: passage idx 0, question idx 0, answer idx 0 again, after line 1$"),
        ("multirc", TWO, PASSAGE, r'hyp\.jsonl, line 1: not of the form {"idx": 0, "passage": {"questions": \['),
        ("multirc", PASSAGE, [passage(0, (0, {0: 2}))], r"val\.jsonl, line 1: the label 2 is not 0 or 1$"),
        ("record", labelled(3), QUERY, r'hyp\.jsonl, line 1: not of the form {"idx": 0, "label": "text"}$'),
        ("record", QUERY, QUERY, r"hyp\.jsonl, line 1: not of the form"),
        ("record", labelled("k"), TWO, r'val\.jsonl, line 1: not of the form {"qas": \['),
        ("record", labelled("k"), [{"qas": [{"idx": 0, "answers": []}]}], r"line 1: a query without a gold answer$"),
        ("record", labelled("k"), [{"qas": [{"idx": 0, "answers": [{"text": 1}]}]}], r"line 1: not of the form"),
        ("record", labelled("k", "l"), QUERY * 2, r"val\.jsonl, line 2: idx 0 again, after line 1$"),
    ],
)
def test_errors_name_file_line_and_idx(write, task, hypotheses, gold, message):
    with pytest.raises(UserError, match=message) as error:
        TASKS[f"superglue/{task}"].read(write("hyp.jsonl", hypotheses), [write("val.jsonl", gold)])
    assert "\n" not in str(error.value)


def test_as_many_lines_as_golds(write):
    gold = write("val.jsonl", TWO)
    with pytest.raises(UserError, match=r"hyp\.txt has 3 lines, but .*val\.jsonl has 2 to answer$"):
        TASKS["superglue/boolq"].read(write("hyp.txt", "true\nfalse\n\n"), [gold])


def test_options_come_as_json_lines(write):
    with pytest.raises(UserError, match=r'hyp\.txt: labels of MultiRC are \.jsonl of the form {"idx"'):
        TASKS["superglue/multirc"].read(write("hyp.txt", "1\n0\n"), [write("val.jsonl", PASSAGE)])


@pytest.mark.parametrize("task", TASKS)
def test_one_file_of_golds(write, task):
    path = write("val.jsonl", TWO)
    with pytest.raises(UserError, match=r"one \.jsonl file, not 2: .*val\.jsonl, .*val\.jsonl$"):
        TASKS[task].read(path, [path, path])
