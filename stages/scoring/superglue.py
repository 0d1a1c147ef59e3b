"""The metrics of SuperGLUE (Wang et al. 2019), one task a dataset, from the official files.

All are in [0, 1], to 4 decimals; the leaderboard prints them times 100 with one. A hypothesis that is no label of
the task, as a text model may write, is wrong and nothing else: it is a miss of its gold class, and no class of its own
(scikit-learn's f1_score would average it as one, unless given `labels`).
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import UserError
from stages.scoring.formats import lines_of
from stages.scoring.scores import Metric, Metrics, mean, ratio
from stages.scoring.task import Measure, Task, without_programs

DECIMALS = 4
TRUTH = ("true", "false")
ENTAILMENT = ("entailment", "not_entailment")
COMMITMENT = ("entailment", "contradiction", "neutral")
CHOICE = ("0", "1")

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

_Key = tuple[int, ...]


@dataclass(frozen=True)
class _Form:
    """What is scored in a record of JSON lines: each value, found by its `idx` and those of what it is part of.

    `entries` and `value` raise LookupError or TypeError for another form, ValueError that says what is wrong.
    """

    example: str
    levels: tuple[str, ...]  # what an error calls the numbers of a key
    entries: Callable[[Any], Iterator[tuple[_Key, Any]]]
    value: Callable[[Any], Any]

    def name(self, key: _Key) -> str:
        return ", ".join(f"{level} {number}" for level, number in zip(self.levels, key, strict=True))


@dataclass(frozen=True)
class _Entry:
    line: int
    value: Any


def accuracy(hypotheses: list[str], references: list[str]) -> Metrics:
    """The share of hypotheses that are their reference."""
    return {"accuracy": mean([mine == gold for mine, gold in zip(hypotheses, references, strict=True)], DECIMALS)}


def accuracy_and_macro_f1(classes: tuple[str, ...], hypotheses: list[str], references: list[str]) -> Metrics:
    """Accuracy, and the mean F1 of those of the classes that occur in hypotheses or references."""
    pair = (hypotheses, references)
    found, wanted = (np.array([[label == name for name in classes] for label in labels]) for labels in pair)
    outcomes = (found & wanted, found & ~wanted, ~found & wanted)  # each [segments, classes]
    counts = np.concatenate(outcomes, axis=1).astype(np.float64)
    return accuracy(hypotheses, references) | {"F1": Metric(counts, _macro_f1, DECIMALS)}


def _macro_f1(sums: np.ndarray) -> float:
    """Of true positives of all classes, then false positives, then false negatives."""
    right, false, missed = sums.reshape(3, -1)
    counted = 2 * right + false + missed
    occurs = counted > 0
    return float(np.mean(2 * right[occurs] / counted[occurs])) if occurs.any() else 0.0


def options(hypotheses: list[list[str]], references: list[list[str]]) -> Metrics:
    """MultiRC's F1a, of the label 1 over all options, and EM, the share of questions without an error.

    A segment is a question, a list of its options' labels. A hypothesis that is no label is no 1.
    """
    counts = []
    for mine, gold in zip(hypotheses, references, strict=True):
        right = sum(a == b == "1" for a, b in zip(mine, gold, strict=True))
        counts.append((2 * right, mine.count("1") + gold.count("1")))
    exact = [mine == gold for mine, gold in zip(hypotheses, references, strict=True)]
    return {"F1a": Metric(np.array(counts, dtype=np.float64), ratio, DECIMALS), "EM": mean(exact, DECIMALS)}


def answers(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """ReCoRD's F1 of words and EM as SQuAD 1.1 counts them, each that of the best of a question's gold answers."""
    f1, exact = [], []
    for mine, golds in zip(hypotheses, references, strict=True):
        words, wanted = _words(mine), [_words(gold) for gold in golds]
        f1.append(max(_word_f1(words, gold) for gold in wanted))
        exact.append(words in wanted)
    return {"F1": mean(f1, DECIMALS), "EM": mean(exact, DECIMALS)}


def _words(text: str) -> list[str]:
    """Lowercase, without ASCII punctuation, without articles: in this order, for `a.` becomes an article."""
    return _ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _word_f1(mine: list[str], gold: list[str]) -> float:
    common = (Counter(mine) & Counter(gold)).total()
    return 2 * common / (len(mine) + len(gold)) if common else 0.0


def _label(value: Any) -> str:
    """As text, for files hold true and "true", 1 and "1"."""
    if not isinstance(value, str | int):
        raise TypeError
    return str(value).strip().lower()


def _gold_label(labels: tuple[str, ...], value: Any) -> str:
    if _label(value) not in labels:
        raise ValueError(f"the label {value!r} is not {' or '.join(labels)}")
    return _label(value)


def _answer(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _gold_answers(value: list[Any]) -> list[str]:
    if not value:
        raise ValueError("a query without a gold answer")
    return [_answer(answer["text"]) for answer in value]


def _labelled(record: Any) -> Iterator[tuple[_Key, Any]]:
    yield (record["idx"],), record["label"]


def _queries(record: Any) -> Iterator[tuple[_Key, Any]]:
    for query in record["qas"]:
        yield (query["idx"],), query["answers"]


def _options(record: Any) -> Iterator[tuple[_Key, Any]]:
    for question in record["passage"]["questions"]:
        for option in question["answers"]:
            yield (record["idx"], question["idx"], option["idx"]), option["label"]


_ANSWER = _Form('{"idx": 0, "label": "text"}', ("idx",), _labelled, _answer)
_QUERIES = _Form('{"qas": [{"idx": 0, "answers": [{"text": "text"}]}]}', ("idx",), _queries, _gold_answers)
_OPTIONS = _Form(
    '{"idx": 0, "passage": {"questions": [{"idx": 0, "answers": [{"idx": 0, "label": 1}]}]}}',
    ("passage idx", "question idx", "answer idx"),
    _options,
    _label,
)


def _read_entries(path: Path, form: _Form) -> dict[_Key, _Entry]:
    entries: dict[_Key, _Entry] = {}
    for number, line in enumerate(lines_of(path), start=1):
        for key, value in _entries_of(line, form, f"{path}, line {number}") if line.strip() else []:
            if key in entries:
                raise UserError(f"{path}, line {number}: {form.name(key)} again, after line {entries[key].line}")
            entries[key] = _Entry(number, value)
    return entries


def _entries_of(line: str, form: _Form, where: str) -> list[tuple[_Key, Any]]:
    try:
        entries = [(key, form.value(value)) for key, value in form.entries(json.loads(line))]
        if any(type(number) is not int for key, _ in entries for number in key):
            raise TypeError
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg})") from error
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    except (LookupError, TypeError) as error:
        raise UserError(f"{where}: not of the form {form.example}") from error
    return entries


def _read_golds(paths: list[Path], form: _Form) -> dict[_Key, _Entry]:
    if len(paths) != 1:
        raise UserError(f"SuperGLUE's gold is one .jsonl file, not {len(paths)}: {', '.join(map(str, paths))}")
    golds = _read_entries(paths[0], form)
    if not golds:
        raise UserError(f"{paths[0]}: nothing to score; a line is of the form {form.example}")
    return golds


def _matched(path: Path, form: _Form, gold_path: Path, golds: dict[_Key, _Entry]) -> list[Any]:
    """The values of JSON lines in the order of the golds."""
    hypotheses = _read_entries(path, form)
    for key, entry in hypotheses.items():
        if key not in golds:
            raise UserError(f"{path}, line {entry.line}: {form.name(key)}, which {gold_path} does not have")
    for key, gold in golds.items():
        if key not in hypotheses:
            raise UserError(f"{path}: no {form.name(key)}, which is in {gold_path}, line {gold.line}")
    return [hypotheses[key].value for key in golds]


def _read(form: _Form, gold_form: _Form, hypotheses: Path, references: list[Path]) -> tuple[list[Any], list[Any]]:
    """A value a line of text, or JSON lines in any order, and the golds. Raises UserError."""
    golds = _read_golds(references, gold_form)
    values = [gold.value for gold in golds.values()]
    if hypotheses.suffix.lower() == ".jsonl":
        return _matched(hypotheses, form, references[0], golds), values
    lines = lines_of(hypotheses)
    if len(lines) != len(golds):
        raise UserError(f"{hypotheses} has {len(lines)} lines, but {references[0]} has {len(golds)} to answer")
    return [form.value(line) for line in lines], values


def _read_options(hypotheses: Path, references: list[Path]) -> tuple[list[list[str]], list[list[str]]]:
    """By question the labels of its options. Raises UserError."""
    golds = _read_golds(references, replace(_OPTIONS, value=partial(_gold_label, CHOICE)))
    if hypotheses.suffix.lower() != ".jsonl":
        raise UserError(f"{hypotheses}: labels of MultiRC are .jsonl of the form {_OPTIONS.example}")
    questions: dict[_Key, tuple[list[str], list[str]]] = {}
    for (key, gold), mine in zip(golds.items(), _matched(hypotheses, _OPTIONS, references[0], golds), strict=True):
        found, wanted = questions.setdefault(key[:2], ([], []))
        found.append(mine)
        wanted.append(gold.value)
    return [found for found, _ in questions.values()], [wanted for _, wanted in questions.values()]


def _classification(labels: tuple[str, ...], measure: Measure = accuracy) -> Task:
    form = _Form(json.dumps({"idx": 0, "label": labels[0]}), ("idx",), _labelled, _label)
    gold_form = replace(form, value=partial(_gold_label, labels))
    return Task(partial(_read, form, gold_form), without_programs(measure))


TASKS = {
    "superglue/boolq": _classification(TRUTH),
    "superglue/cb": _classification(COMMITMENT, partial(accuracy_and_macro_f1, COMMITMENT)),
    "superglue/copa": _classification(CHOICE),
    "superglue/multirc": Task(_read_options, without_programs(options)),
    "superglue/record": Task(partial(_read, _ANSWER, _QUERIES), without_programs(answers)),
    "superglue/rte": _classification(ENTAILMENT),
    "superglue/wic": _classification(TRUTH),
    "superglue/wsc": _classification(TRUTH),
}
