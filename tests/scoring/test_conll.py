"""Entity counts against values worked out by hand, and against conlleval's rules written down a second time."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.conll import CONLL, measure
from stages.scoring.scores import Scores

tag = st.sampled_from("O O B I B- I- B-k I-k B-l I-l B-k-m I-k-m B--k I--k".split())
sentence = st.lists(st.tuples(tag, tag), min_size=1, max_size=8)
corpus = st.lists(sentence, min_size=1, max_size=5)


def sides(sentences):
    """Predicted and gold tags of sentences of pairs."""
    return [[mine for mine, _ in pairs] for pairs in sentences], [[gold for _, gold in pairs] for pairs in sentences]


def exact(metrics):
    """With all their digits."""
    return {name: metric.number(metric.segments.sum(axis=0)) for name, metric in metrics.items()}


def counts(predicted, gold):
    """Right, predicted and gold entities of one sentence."""
    metrics = measure([predicted.split()], [gold.split()])
    [[right, found]], [[_, wanted]] = metrics["precision"].segments, metrics["recall"].segments
    return right, found, wanted


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        ("B-k I-k O B-l", "B-k I-k O B-l", (2, 2, 2)),
        ("I-k I-k O I-l", "B-k I-k O B-l", (2, 2, 2)),  # IOB1 and IOB2 say the same
        ("B-k I-k O B-k", "B-k I-k O B-l", (1, 2, 2)),  # a wrong type
        ("B-k O O B-l", "B-k I-k O B-l", (1, 2, 2)),  # too short
        ("B-k I-k I-k O", "B-k I-k O O", (0, 1, 1)),  # too long
        ("B-k B-k", "B-k I-k", (0, 2, 1)),
        ("I-k I-k B-k", "B-k I-k B-k", (2, 2, 2)),  # of IOB1, two neighbours of one type
        ("B-k I-l", "B-k B-l", (2, 2, 2)),  # an I after another type begins an entity
        ("I-k I-l I-k", "B-k B-l B-k", (3, 3, 3)),
        ("B-k-m I-k-m", "B-k-m I-k-m", (1, 1, 1)),
        ("B-k-m I-k", "B-k-m I-k-m", (0, 2, 1)),  # what follows the second hyphen is part of the type
        ("B-k-m", "B-l-m", (0, 1, 1)),
        ("B I", "B- I-", (1, 1, 1)),
        ("B-k I", "B-k I-k", (0, 2, 1)),
        ("O O", "O O", (0, 0, 0)),
        ("O O", "B-k O", (0, 0, 1)),
    ],
)
def test_by_hand(predicted, gold, expected):
    assert counts(predicted, gold) == expected


def test_scores():
    predicted = [["B-k", "I-k", "O"], ["O", "B-l"], ["B-k"]]
    gold = [["B-k", "I-k", "O"], ["B-l", "I-l"], ["O"]]
    metrics = measure(predicted, gold)
    assert Scores.of(metrics).metrics == {"precision": round(1 / 3, 4), "recall": 0.5, "F1": 0.4}
    first_two = Scores.of(metrics, np.array([True, True, False])).metrics
    assert first_two == {"precision": 0.5, "recall": 0.5, "F1": 0.5}
    none = Scores.of(metrics, np.array([2])).metrics
    assert none == {"precision": 0.0, "recall": 0.0, "F1": 0.0}


def test_an_entity_ends_with_its_sentence():
    metrics = measure([["O", "B-k"], ["I-k", "O"]], [["O", "B-k"], ["I-k", "O"]])
    assert metrics["precision"].segments.tolist() == [[1, 1], [1, 1]]


def conlleval(sentences):
    """Right, predicted and gold entities of a corpus, token by token in one pass as the script does."""

    def split(tag):
        prefix, _, kind = tag.partition("-")
        return prefix, kind

    def ends(before, now):
        (before, before_kind), (now, kind) = before, now
        return (before in "BI" and now in "BO") or (before != "O" and before_kind != kind)

    def starts(before, now):
        (before, before_kind), (now, kind) = before, now
        return now == "B" or (before == "O" and now == "I") or (now != "O" and before_kind != kind)

    right = found = wanted = 0
    agreeing = False
    before_mine = before_gold = ("O", "")
    for pair in [pair for sentence in sentences for pair in [*sentence, ("O", "O")]]:
        mine, gold = map(split, pair)
        mine_ends, gold_ends = ends(before_mine, mine), ends(before_gold, gold)
        if agreeing and mine_ends and gold_ends:
            right += 1
        agreeing = agreeing and not mine_ends and not gold_ends
        mine_starts, gold_starts = starts(before_mine, mine), starts(before_gold, gold)
        agreeing = agreeing or (mine_starts and gold_starts and mine[1] == gold[1])
        found += mine_starts
        wanted += gold_starts
        before_mine, before_gold = mine, gold
    return right, found, wanted


@settings(deadline=None, max_examples=500)
@given(corpus)
def test_equals_conlleval(sentences):
    right, found, wanted = conlleval(sentences)
    precision, recall = right / found if found else 0, right / wanted if wanted else 0
    f1 = 2 * precision * recall / (precision + recall) if right else 0
    expected = {"precision": precision, "recall": recall, "F1": f1}
    assert exact(measure(*sides(sentences))) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(corpus)
def test_exchanged_sides_exchange_precision_and_recall(sentences):
    mine, gold = sides(sentences)
    one, other = exact(measure(mine, gold)), exact(measure(gold, mine))
    assert (one["precision"], one["recall"], one["F1"]) == (other["recall"], other["precision"], other["F1"])


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    directory = tmp_path_factory.mktemp("conll")

    def write(name, text):
        path = directory / name
        path.write_bytes(text.encode())
        return TextFile(path)

    return write


@settings(deadline=None)
@given(corpus, st.sampled_from(["\n", "\r\n"]), st.sampled_from([" ", "\t", "  "]), st.integers(1, 3), st.booleans())
def test_files(write, sentences, newline, space, blank_lines, documents):
    mine, gold = sides(sentences)
    between = newline * (1 + blank_lines)
    lines = between.join(
        newline.join(space.join(["word", "NN", tag]) for tag in tags) for tags in ([["O"]] if documents else []) + gold
    )
    lines = lines.replace("word", "-DOCSTART-", 1) if documents else lines
    refs = write("refs.conll", lines + newline)
    hyp = write("hyp.txt", between.join(newline.join(tags) for tags in mine))
    assert CONLL.read(hyp, [refs]) == (mine, gold)
    assert CONLL.read(refs, [refs]) == (gold, gold)


def test_docstart_ends_a_sentence_without_blank_lines(write):
    path = write("a", "k B-l\n-DOCSTART- -X- O\nk I-l\n")
    assert CONLL.read(path, [path])[0] == [["B-l"], ["I-l"]]


@pytest.mark.parametrize(
    ("hypotheses", "gold", "message"),
    [
        ("O\n\nO\nO\n", "k O\n\nk O\n", "hyp, line 3: a sentence of 2 tokens, but it has 1 in .*gold, line 3$"),
        ("O\nO\n\n\nO\n", "-DOCSTART- O\n\nk O\n", "hyp, line 1: a sentence of 2 tokens, but it has 1 in .*gold, line 3$"),
        ("O\n", "k O\n\nk O\n", "hyp has 1 sentences, but .*gold has 2$"),
        ("O\n\nO\n\nO", "k O\n\nk O\n", "hyp has 3 sentences, but .*gold has 2$"),
        ("", "k O\n", "hyp has 0 sentences, but .*gold has 1$"),
        ("", "-DOCSTART- O\n\n", "gold: no sentence"),
        ("O\nS-k\n", "k O\nk O\n", "hyp, line 2: the tag 'S-k' is neither O nor B-TYPE nor I-TYPE$"),
        ("O\n", "\nk O-k\n", "gold, line 2: the tag 'O-k' is neither"),
        ("O\n", "O k\n", "gold, line 1: the tag 'k' is neither"),
        ("BI\n", "O\n", "hyp, line 1: the tag 'BI' is neither"),
        ("b-k\n", "O\n", "hyp, line 1: the tag 'b-k' is neither"),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_counts(write, hypotheses, gold, message):
    with pytest.raises(UserError, match=message) as error:
        CONLL.read(write("hyp", hypotheses), [write("gold", gold)])
    assert "\n" not in str(error.value)


def test_one_file_of_gold_tags(write):
    path = write("a", "O\n")
    with pytest.raises(UserError, match=r"one file, not 2: .*a, .*a$"):
        CONLL.read(path, [path, path])


def test_seqeval_is_imported_when_it_is_needed():
    code = "import sys, stages.scoring.conll; print({'seqeval', 'sklearn'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
