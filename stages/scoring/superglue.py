"""SuperGLUE (Wang et al. 2019): accuracy, F1 and exact match of each of its tasks, in [0, 1].

The leaderboard prints them times 100. References are the official .jsonl files with labels; hypotheses the
official submissions ({"idx": 0, "label": "true"}), put beside the references by their idx, or, but for MultiRC,
text with one label a line in the order of the references. What a model says that is no label is wrong.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import UserError
from stages.scoring.formats import lines_of
from stages.scoring.scores import Metric, Metrics, mean
from stages.scoring.segments import collapse
from stages.scoring.task import Task, without_programs

DECIMALS = 4
CB_LABELS = ("contradiction", "entailment", "neutral")

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Record = dict[str, Any]
Labels = list[int]  # of the answers to a question of MultiRC


def accuracy(hypotheses: list[str], references: list[str]) -> Metrics:
    """The share of right labels."""
    _check(references)
    return {"accuracy": mean([h == r for h, r in zip(hypotheses, references, strict=True)], DECIMALS)}


def accuracy_and_macro_f1(hypotheses: list[str], references: list[str]) -> Metrics:
    """CB: accuracy, and the mean F1 of the classes that the references or the hypotheses have."""
    scores = accuracy(hypotheses, references)
    counts = np.zeros((len(references), len(CB_LABELS), 3))  # [segments, classes, right, said, true]
    for row, said, true in zip(counts, hypotheses, references, strict=True):
        for label, of_class in zip(CB_LABELS, row, strict=True):
            of_class[:] = said == true == label, said == label, true == label
    return {**scores, "F1": Metric(counts.reshape(len(references), -1), _macro_f1, DECIMALS)}


def _macro_f1(sums: np.ndarray) -> float:
    right, said, true = sums.reshape(len(CB_LABELS), 3).T
    there = said + true > 0
    return float((2 * right[there] / (said + true)[there]).mean()) if there.any() else 0.0


def f1a_and_exact(hypotheses: list[Labels], references: list[Labels]) -> Metrics:
    """MultiRC: F1 of the right answers over all answers, and the share of questions without a wrong label."""
    _check(references)
    counts, exact = np.zeros((len(references), 3)), []
    for row, said, true in zip(counts, hypotheses, references, strict=True):
        row[:] = sum(s and t for s, t in zip(said, true, strict=True)), sum(said), sum(true)
        exact.append(said == true)
    return {"F1a": Metric(counts, _f1, DECIMALS), "EM": mean(exact, DECIMALS)}


def _f1(sums: np.ndarray) -> float:
    right, said, true = sums
    return float(2 * right / (said + true)) if said + true else 0.0


def f1_and_exact(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """ReCoRD: F1 of words and exact match, each with the best of a question's answers."""
    _check(references)
    pairs = [(normalize(text), [normalize(answer) for answer in answers])
             for text, answers in zip(hypotheses, references, strict=True)]  # fmt: skip
    f1 = [max(word_f1(text, answer) for answer in answers) for text, answers in pairs]
    return {"F1": mean(f1, DECIMALS), "EM": mean([text in answers for text, answers in pairs], DECIMALS)}


def normalize(text: str) -> str:
    """Lowercase, without punctuation and articles, as SQuAD's script does it."""
    return collapse(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)))


def word_f1(text: str, answer: str) -> float:
    """F1 of the words of two normalized texts; 0 where no word is common."""
    said, true = Counter(text.split()), Counter(answer.split())
    common = (said & true).total()
    return 2 * common / (said.total() + true.total()) if common else 0.0


def _check(references: list) -> None:
    if not references:
        raise UserError("there is no hypothesis to score")


def read_labels(labels: tuple[str, ...], hypotheses: Path, references: list[Path]) -> tuple[list[str], list[str]]:
    """Labels in the order of the references. Raises UserError, also for a reference without one of `labels`."""
    gold = {}
    for line, record in _records(_one(references)):
        label = _label(record.get("label"))
        if label not in labels:
            raise UserError(f"{references[0]}, line {line}: the label must be {' or '.join(labels)}, not {label!r}")
        gold[record["idx"]] = label
    return _in_order(hypotheses, list(gold)), list(gold.values())


def read_answers(hypotheses: Path, references: list[Path]) -> tuple[list[str], list[list[str]]]:
    """ReCoRD: an answer to each question, and the right ones."""
    gold = {}
    for line, record in _records(_one(references)):
        for question in _part(record, "qas", references[0], line):
            answers = _part(question, "answers", references[0], line)
            gold[_idx(question, references[0], line)] = [_part(a, "text", references[0], line) for a in answers]
    return _in_order(hypotheses, list(gold)), list(gold.values())


def read_choices(hypotheses: Path, references: list[Path]) -> tuple[list[Labels], list[Labels]]:
    """MultiRC: by question the labels of its answers, 1 for a right one."""
    gold, said = _choices(_one(references)), _choices(hypotheses)
    for (passage, question), answers in gold.items():
        if said.get((passage, question), {}).keys() != answers.keys():
            raise UserError(f"{hypotheses}: passage {passage}, question {question} needs a label for each answer")
    return [[said[key][idx] for idx in answers] for key, answers in gold.items()], [
        list(answers.values()) for answers in gold.values()
    ]


def _choices(path: Path) -> dict[tuple[int, int], dict[int, int]]:
    """Label by answer, by passage and question."""
    found: dict[tuple[int, int], dict[int, int]] = {}
    for line, record in _records(path):
        for question in _part(_part(record, "passage", path, line), "questions", path, line):
            answers = _part(question, "answers", path, line)
            labels = {_idx(answer, path, line): answer.get("label") for answer in answers}
            number = _idx(question, path, line)
            if not all(label in (0, 1) for label in labels.values()):
                raise UserError(f"{path}, line {line}: question {number} has a label that is not 0 or 1")
            found[record["idx"], number] = {idx: int(label) for idx, label in labels.items()}
    return found


def _in_order(path: Path, wanted: list[int]) -> list[str]:
    """The labels of a submission, one for each idx of the references; text is in their order already."""
    if path.suffix.lower() != ".jsonl":
        return [_label(line) for line in lines_of(path)]
    said = {record["idx"]: _label(record.get("label")) for _, record in _records(path)}
    wrong = sorted(said.keys() ^ set(wanted))
    if wrong:
        problem = "is not in the references" if wrong[0] in said else "has no label"
        raise UserError(f"{path}: idx {wrong[0]} {problem}; {len(said)} labels for {len(wanted)} references")
    return [said[idx] for idx in wanted]


def _records(path: Path) -> list[tuple[int, Record]]:
    """Line number and record of each line that is not blank, no idx twice. Raises UserError."""
    records, seen = [], set()
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from error
        idx = _idx(record, path, number)
        if idx in seen:
            raise UserError(f"{path}, line {number}: idx {idx} stands twice")
        seen.add(idx)
        records.append((number, record))
    return records


def _idx(record: Any, path: Path, line: int) -> int:
    idx = record.get("idx") if isinstance(record, dict) else None
    if not isinstance(idx, int):
        raise UserError(f'{path}, line {line}: no number under the key "idx"')
    return idx


def _part(record: Any, key: str, path: Path, line: int) -> Any:
    if not isinstance(record, dict) or not record.get(key):
        raise UserError(f'{path}, line {line}: nothing under the key "{key}"')
    return record[key]


def _one(references: list[Path]) -> Path:
    if len(references) > 1:
        raise UserError(f"{references[1]}: superglue takes one file of references")
    return references[0]


def _label(label: Any) -> str:
    """Labels as text: JSON's true and 1 are "true" and "1"."""
    return "" if label is None else str(label).strip().lower()


def _task(measure: Callable[[list, list], Metrics], read: Callable[[Path, list[Path]], tuple[list, list]]) -> Task:
    return Task(read, without_programs(measure))


_BOOLEAN = partial(read_labels, ("false", "true"))

TASKS = {
    "superglue/boolq": _task(accuracy, _BOOLEAN),
    "superglue/cb": _task(accuracy_and_macro_f1, partial(read_labels, CB_LABELS)),
    "superglue/copa": _task(accuracy, partial(read_labels, ("0", "1"))),
    "superglue/multirc": _task(f1a_and_exact, read_choices),
    "superglue/record": _task(f1_and_exact, read_answers),
    "superglue/rte": _task(accuracy, partial(read_labels, ("entailment", "not_entailment"))),
    "superglue/wic": _task(accuracy, _BOOLEAN),
    "superglue/wsc": _task(accuracy, _BOOLEAN),
}
