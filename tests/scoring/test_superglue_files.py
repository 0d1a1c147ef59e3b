"""SuperGLUE's files: which labels are the same, what is paired with what, and errors."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.scoring.scores import Scores
from stages.scoring.superglue import METRIC_SETS
from stages.scoring.superglue_files import COMMITMENT


def sides(pairs):
    return [mine for mine, _ in pairs], [gold for _, gold in pairs]


def score(task, hypotheses, gold):
    task = METRIC_SETS[f"superglue/{task}"]
    with task.scorer() as measure:
        return Scores.of(measure(*task.read(hypotheses, [gold]))).metrics


def labelled(*values):
    return [{"idx": idx, "label": value} for idx, value in enumerate(values)]


ANY = ["boolq", "cb", "copa", "rte", "wic", "wsc"]
NAMES = {"cb": COMMITMENT.official, "rte": ("entailment", "not_entailment"), "copa": (0, 1)}


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
    mine, golds = METRIC_SETS[f"superglue/{task}"].read(hypotheses, [write("val.jsonl", labelled(*gold))])
    assert [a == b for a, b in zip(mine, golds, strict=True)] == right


# The hub's numbers in its documented order, as its ClassLabel of each data set lists the names.
HUB = {
    "boolq": ("false", "true"),
    "cb": ("entailment", "contradiction", "neutral"),
    "copa": ("choice1", "choice2"),
    "rte": ("entailment", "not_entailment"),
    "wic": ("false", "true"),
    "wsc": ("false", "true"),
}
OFFICIAL = HUB | {"copa": ("0", "1")}


@pytest.mark.parametrize("task", ANY)
@settings(deadline=None)
@given(data=st.data())
def test_the_hubs_numbers_are_the_official_labels(write, task, data):
    number = st.integers(0, len(HUB[task]) - 1)
    mine, gold = sides(data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=8)))

    def spellings(side, numbers):
        names, hub = [OFFICIAL[task][i] for i in numbers], [HUB[task][i] for i in numbers]
        files = {"numbers": labelled(*numbers), "names": labelled(*names), "hub": labelled(*hub)}
        files |= {"text": "".join(f"{i}\n" for i in numbers)} if side == "hyp" else {}
        return [write(f"{side}.{form}.jsonl" if form != "text" else "hyp.txt", file) for form, file in files.items()]

    scores = [score(task, hyp, val) for hyp in spellings("hyp", mine) for val in spellings("val", gold)]
    share = sum(a == b for a, b in zip(mine, gold, strict=True)) / len(gold)
    assert scores[0]["accuracy"] == round(share, 4) and all(found == scores[0] for found in scores)


def test_a_number_among_names_is_no_label(write):
    """A text model may write anything: its 1 is not true, nor is an official `1` of COPA a name of the choices."""
    gold = write("val.jsonl", labelled("true", "true", "true"))
    assert score("boolq", write("hyp.txt", "1\ntrue\n7\n"), gold) == {"accuracy": 0.3333}
    choices = write("val.jsonl", labelled(1, 1, 0))
    assert score("copa", write("hyp.txt", "choice2\nchoice 2\nchoice1\n"), choices) == {"accuracy": 0.6667}
    assert score("copa", write("hyp.txt", "choice2\n1\nchoice1\n"), choices) == {"accuracy": 0.3333}


@pytest.mark.parametrize(
    ("task", "gold", "hypotheses", "message"),
    [
        ("boolq", [True, False], "yes\nno\n", r"hyp\.txt: no hypothesis is a label of the task; labels are false \(0\) or true \(1\)$"),
        ("rte", [0, 1], [True, False], r"hyp\.jsonl: no .*; labels are entailment \(0\) or not_entailment \(1\)$"),
        ("cb", ["neutral"], "\n", r"hyp\.txt: no .*; labels are entailment \(0\) or contradiction \(1\) or neutral \(2\)$"),
        ("copa", [0, 1], "first\nsecond\n", r"hyp\.txt: no .*; labels are 0 \(choice1\) or 1 \(choice2\)$"),
        ("copa", [0, 1], "1\n2\n", r"hyp\.txt, line 2: the label '2' is not 0 or 1$"),  # counted from 1
        ("rte", [0, 1], [1, -1], r"hyp\.jsonl, line 2: the label -1 is not 0 or 1$"),
        ("cb", [0, 1, 2], "1\n2\n3\n", r"hyp\.txt, line 3: the label '3' is not 0 or 1 or 2$"),
        ("rte", [-1, -1], "0\n1\n", r"val\.jsonl, line 1: the label -1 is not entailment or not_entailment$"),  # the hub's test set
        ("rte", [0, 2], "0\n1\n", r"val\.jsonl, line 2: the label 2 is not 0 or 1$"),
        ("rte", [0, "entailment"], "0\n1\n", r"val\.jsonl, line 1: the label 0 is not entailment or not_entailment$"),
        ("rte", [True, False], "0\n1\n", r"val\.jsonl, line 1: the label True is not entailment or not_entailment$"),
    ],
)  # fmt: skip
def test_labels_of_another_kind_are_refused(write, task, gold, hypotheses, message):
    name = "hyp.txt" if isinstance(hypotheses, str) else "hyp.jsonl"
    hypotheses = write(name, hypotheses if isinstance(hypotheses, str) else labelled(*hypotheses))
    with pytest.raises(UserError, match=message):
        METRIC_SETS[f"superglue/{task}"].read(hypotheses, [write("val.jsonl", labelled(*gold))])


def test_what_is_read_is_known_by_its_content(write):
    gold = write("val.jsonl", labelled(True, False))
    shuffled = write("hyp.txt", labelled(True, False)[::-1])
    as_list = write("hyp.json", json.dumps(labelled(True, False)[::-1]))
    assert score("boolq", shuffled, gold) == score("boolq", as_list, gold) == {"accuracy": 1.0}


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
    assert METRIC_SETS["superglue/multirc"].read(write("hyp.jsonl", mine), [gold]) == (
        [["1", "1"], ["0"], ["0", "1"]],
        [["1", "0"], ["0"], ["1", "1"]],
    )
    assert score("multirc", write("hyp.jsonl", mine), gold) == {"F1a": round(4 / 6, 4), "EM": 0.3333}


def test_options_as_truth_values(write):
    gold = write("val.jsonl", [passage(0, (0, {0: 1, 1: 0}), (1, {0: 0, 1: 1}))])
    for right, wrong in ((True, False), ("true", "False"), (1, 0)):
        mine = [passage(0, (0, {0: right, 1: wrong}), (1, {0: right, 1: right}))]
        assert score("multirc", write("hyp.jsonl", mine), gold) == {"F1a": 0.8, "EM": 0.5}
    mine = [passage(0, (0, {0: "yes", 1: "no"}), (1, {0: "no", 1: "yes"}))]
    with pytest.raises(UserError, match=r"no hypothesis is a label of the task; labels are 0 \(false\) or 1 \(true\)$"):
        METRIC_SETS["superglue/multirc"].read(write("hyp.jsonl", mine), [gold])


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
        ("boolq", f'{{"idx": {"7" * 5000}}}', TWO, r"hyp\.jsonl, line 1: a whole number of more than 4,300 digits$"),
        ("boolq", TWO, "[" * 100_000, r"val\.jsonl, line 1: JSON that is nested too deeply to be read$"),
        ("boolq", [{"idx": 0}], TWO, r'hyp\.jsonl, line 1: not of the form {"idx": 0, "label": "true"}$'),
        ("boolq", [{"idx": "0", "label": "true"}], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", [{"idx": True, "label": "true"}], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", labelled(None), TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", [["idx", "label"]], TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", "7", TWO, r"hyp\.jsonl, line 1: not of the form"),
        ("boolq", TWO, [{"idx": 0}], r'val\.jsonl, line 1: not of the form {"idx": 0, "label": "true"}$'),
        ("boolq", TWO, labelled(True, "maybe"), r"val\.jsonl, line 2: the label 'maybe' is not false or true$"),
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
        METRIC_SETS[f"superglue/{task}"].read(write("hyp.jsonl", hypotheses), [write("val.jsonl", gold)])
    assert "\n" not in str(error.value)


def test_as_many_lines_as_golds(write):
    gold = write("val.jsonl", TWO)
    with pytest.raises(UserError, match=r"hyp\.txt has 3 lines, but .*val\.jsonl has 2 to answer$"):
        METRIC_SETS["superglue/boolq"].read(write("hyp.txt", "true\nfalse\n\n"), [gold])


def test_options_come_as_json_lines(write):
    with pytest.raises(UserError, match=r'hyp\.txt: labels of MultiRC are JSON lines of the form {"idx"'):
        METRIC_SETS["superglue/multirc"].read(write("hyp.txt", "1\n0\n"), [write("val.jsonl", PASSAGE)])


@pytest.mark.parametrize("task", METRIC_SETS)
def test_one_file_of_golds(write, task):
    path = write("val.jsonl", TWO)
    with pytest.raises(UserError, match=r"one \.jsonl file, not 2: .*val\.jsonl, .*val\.jsonl$"):
        METRIC_SETS[task].read(path, [path, path])
