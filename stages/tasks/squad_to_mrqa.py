"""From SQuAD to the out-of-domain sets of MRQA 2019 (Lester et al. 2021, section 5): learnt on one, asked on the others.

Made to look like T5's SQuAD: `question: ... context: ...`, the first answer as target, punctuation set apart. The test
records are SQuAD's validation questions and those of each other set, which is a group of its own.
"""

import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.core.files import replacing, write_jsonl
from stages.core.record import Record
from stages.core.sections import Section
from stages.scoring.superglue import METRIC_SETS
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common import hub
from stages.tasks.common.rows import DataSet, RowsSource, SplitRowsSource, fetch_rows, read_rows

_CONFIG = "plain_text"  # the hub's, of both data sets
_SQUAD = DataSet("SQuAD", _CONFIG, ("id", "question", "context", "answers"))
# The sets of MRQA 2019 that are out of SQuAD's domain.
SHIFTED = ("TextbookQA", "BioASQ", "RACE", "RelationExtraction", "DuoRC.ParaphraseRC", "DROP")
_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}])")


class Shift(Section):
    """SQuAD to learn from, MRQA's other sets to be tested on."""

    learnt: SplitRowsSource
    tested: RowsSource


def padded(text: str) -> str:
    """With spaces around ASCII punctuation, as T5 has it; white space collapsed."""
    return " ".join(_PUNCTUATION.sub(r" \1 ", text).split())


def download(source: Shift, out: Path) -> None:
    """Write SQuAD's splits into `learnt`, the other sets' questions into tested.jsonl, or nothing. Raises UserError."""
    with replacing(out) as directory:
        directory.mkdir()
        fetch_rows(source.learnt, _SQUAD, directory / "learnt", of=lambda row: row["context"])
        write_jsonl(directory / "tested.jsonl", _others(source.tested))


def _others(source: RowsSource) -> list[dict[str, Any]]:
    """Question, context and answers of the sets that are not SQuAD's."""
    if source.root is not None:
        files = sorted(Path(source.root).glob("*.jsonl"))
        if not files:
            raise UserError(f"{source.root} holds no .jsonl file of MRQA, such as BioASQ.jsonl")
        return [question for path in files for question in _questions(path)]
    instead = "set sources.squad_to_mrqa.tested.root to a directory of MRQA's .jsonl files, unpacked"
    found = hub.load(source.dataset, _CONFIG, source.revision, ["test"], instead)["test"]
    keys = ("subset", "qid", "question", "context", "answers")
    return [{key: row[key] for key in keys} for row in found]


def _questions(path: Path) -> list[dict[str, Any]]:
    """Of an official file: a header, then a context a line with its questions. Raises UserError for another line."""
    found = []

    def take(row: dict[str, Any], where: str) -> None:
        if "header" in row:
            return
        if not isinstance(row.get("qas"), list) or not isinstance(row.get("context"), str):
            raise UserError(f"{where}: must be a context with its questions, qas")
        for question in row["qas"]:
            try:
                own = {key: question[key] for key in ("qid", "question", "answers")}
            except (KeyError, TypeError) as error:
                raise UserError(f"{where}: a question must have qid, question and answers ({error})") from error
            found.append({"subset": path.stem, "context": row["context"], **own})

    read_rows(path, (), take)
    return found


def linearize(raw: Path, options: Linearize) -> dict[str, list[Record]]:
    """Records by split. Raises UserError for a row of another form."""
    splits = {split: list(_learnt(raw / f"learnt/{split}.jsonl")) for split in ("train", "dev", "test")}
    path = raw / "tested.jsonl"
    for number, row in enumerate(read_rows(path, ("subset", "qid", "question", "context", "answers")), start=1):
        splits["test"].append(_record(f"{path}, row {number}", row["qid"], row, row["answers"], row["subset"]))
    # Every answer is right, but the first one is learnt.
    splits["train"], splits["dev"] = ([_first(record) for record in splits[split]] for split in ("train", "dev"))
    return splits


def _learnt(path: Path) -> Iterator[Record]:
    for number, row in enumerate(read_rows(path, _SQUAD.keys), start=1):
        answers = row["answers"].get("text") if isinstance(row["answers"], dict) else None
        yield _record(f"{path}, row {number}", row["id"], row, answers, _SQUAD.folder)


def _record(where: str, name: str, row: dict[str, Any], answers: Any, group: str) -> Record:
    """Raises UserError for a question that has no answers: what is right could not be scored."""
    texts = [row["question"], row["context"], *(answers if isinstance(answers, list) else [None])]
    if len(texts) < 3 or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{where}: question, context and at least one answer must be texts (SQuAD 1.1's form)")
    source = f"question: {padded(row['question'])} context: {padded(row['context'])}"
    return Record(str(name), source, [padded(answer) for answer in answers], group=group)


def _first(record: Record) -> Record:
    return Record(record.id, record.source, record.targets[:1], group=record.group)


_F1, _EM = (tuple(f"{metric}_{name}" for name in (_SQUAD.folder, *SHIFTED)) for metric in ("F1", "EM"))
TASKS = {
    "squad_to_mrqa": Task(
        source=Shift,
        download=download,
        linearize=linearize,
        metrics=METRIC_SETS["superglue/record"],  # F1 of words and exact matches as SQuAD 1.1 counts them
        # Of all questions together there are F1 and EM too, but most of them are SQuAD's own.
        shown=Shown(figures=_F1, columns=_F1 + _EM, percent=_F1 + _EM),
        recipe="qa",
    )
}
