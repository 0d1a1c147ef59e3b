"""SuperGLUE (Wang et al. 2019) as text to text: T5's forms without the word that names the task, as Lester et al. 2021 have them.

Rows are those of the official files, or the hub's. `parts` are what an encoder reads: the pairs of P-tuning v2.
WSC is True or False of a text with both spans marked, which are made to stand in it where they do not; `wsc_referent` is
T5's other form, the name of what the pronoun stands for, which is learned from true rows alone. ReCoRD's entities are in
alphabetical order.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.core.record import Record
from stages.scoring import superglue_files as files
from stages.scoring.superglue import METRIC_SETS
from stages.tasks import Linearize, Shown, Task, references_of
from stages.tasks.common.rows import DataSet, SplitRowsSource, fetch_rows, read_rows

TRUTH = ("False", "True")
CHOICE = ("choice1", "choice2")
_MARKUP = re.compile(r"</?b>")
_HIGHLIGHT_ENDED, _HIGHLIGHT = re.compile(r"([.?!\"'])\n@highlight\n"), re.compile(r"\n@highlight\n")

Row = dict[str, Any]
Reader = Callable[[Row], Iterator[Record]]
# Hypotheses and targets as the metric set takes them.
Postprocess = Callable[[list[str], list[Record]], tuple[list, list]]


def _label(value: Any, names: tuple[str, ...]) -> str:
    """The class of a row: of a number by place, as the hub numbers them, of a truth value if the classes are these, of a
    text whatever its case. Raises ValueError.
    """
    number = isinstance(value, int) and (names == TRUTH or not isinstance(value, bool))  # true is no class 1 of RTE
    if number and 0 <= value < len(names):
        return names[value]
    for name in names:
        if isinstance(value, str) and value.lower() == name.lower():
            return name
    raise ValueError(f"the label {value!r} is not {' or '.join(names)}")


def _fields(row: Row, *keys: str) -> str:
    """Raises ValueError for a field that is no text."""
    for key in keys:
        if not isinstance(row[key], str):
            raise ValueError(f"{key} is {row[key]!r}, which is no text")
    return " ".join(f"{key}: {row[key]}" for key in keys)


def _sentences(names: tuple[str, ...], keys: tuple[str, ...], pair: tuple[str, ...]) -> Reader:
    """Rows of sentences and a label; an encoder reads those of `pair`, in this order."""

    def read(row: Row) -> Iterator[Record]:
        source, parts = _fields(row, *keys), [[row[key] for key in pair]]
        yield Record(str(row["idx"]), source, [_label(row["label"], names)], parts=parts)

    return read


def _copa(row: Row) -> Iterator[Record]:
    begun = f"{row['premise']} {'because' if row['question'] == 'cause' else 'so'}"
    source = _fields(row, "choice1", "choice2", "premise", "question")
    target = _label(row["label"], CHOICE)
    yield Record(str(row["idx"]), source, [target], parts=[[begun, row["choice1"]], [begun, row["choice2"]]])


def _wic(row: Row) -> Iterator[Record]:
    parts = [[f"{row['word']}: {row['sentence1']}", f"{row['word']}: {row['sentence2']}"]]
    source = _fields(row, "sentence1", "sentence2", "word")
    yield Record(str(row["idx"]), source, [_label(row["label"], TRUTH)], parts=parts)


def _multirc(row: Row) -> Iterator[Record]:
    """An official row is a passage with its questions, one of the hub's an answer."""
    for flat in _answers_of(row):
        source = _MARKUP.sub("", _fields(flat, "question", "answer", "paragraph").replace("<br>", " "))
        paragraph = _MARKUP.sub("", flat["paragraph"].replace("<br>", " "))
        name = "-".join(str(flat["idx"][level]) for level in ("paragraph", "question", "answer"))
        parts = [[paragraph, f"{flat['question']} {flat['answer']}"]]
        yield Record(name, source, [_label(flat["label"], TRUTH)], parts=parts)


def _answers_of(row: Row) -> Iterator[Row]:
    if "passage" not in row:
        yield row
        return
    for question in row["passage"]["questions"]:
        for answer in question["answers"]:
            idx = {"paragraph": row["idx"], "question": question["idx"], "answer": answer["idx"]}
            yield {"paragraph": row["passage"]["text"], "question": question["question"], "answer": answer["text"],
                   "label": answer["label"], "idx": idx}  # fmt: skip


def _record(row: Row) -> Iterator[Record]:
    """An official row is a passage with its queries, one of the hub's a query."""
    for flat in _queries_of(row):
        passage = _HIGHLIGHT.sub(". ", _HIGHLIGHT_ENDED.sub(r"\1 ", flat["passage"]))
        entities = ", ".join(sorted(set(flat["entities"])))
        source = f"{_fields(flat, 'query')} entities: {entities} passage: {passage}"
        yield Record(f"{flat['idx']['passage']}-{flat['idx']['query']}", source, list(flat["answers"]))


def _queries_of(row: Row) -> Iterator[Row]:
    if "qas" not in row:
        yield row
        return
    text = row["passage"]["text"]
    entities = [text[found["start"] : found["end"] + 1] for found in row["passage"]["entities"]]
    for query in row["qas"]:
        answers = sorted({answer["text"] for answer in query["answers"]})
        idx = {"passage": row["idx"], "query": query["idx"]}
        yield {"passage": text, "query": query["query"], "entities": entities, "answers": answers, "idx": idx}


def _spans(row: Row) -> Row:
    """Both spans of a WSC row, as they stand in its text (the repair of the hub's wsc.fixed, which T5 reads too)."""
    spans = dict(row.get("target", row))
    words = row["text"].split()
    for name in ("span1", "span2"):
        said = spans[f"{name}_text"]
        if said not in row["text"]:
            first = said[0].lower() if words[spans[f"{name}_index"]][0].islower() else said[0].upper()
            fitting = (first + said[1:]).rstrip(".").replace("\n", " ")
            spans[f"{name}_text"] = fitting if fitting in row["text"] else said
    return spans


def _wsc(row: Row) -> Iterator[Record]:
    spans = _spans(row)
    marked = _marked(row["text"], spans["span1_text"], spans["span1_index"], "*")
    behind = spans["span2_index"] + (2 if spans["span1_index"] < spans["span2_index"] else 0)
    source = f"text: {_marked(marked, spans['span2_text'], behind, '#')}"
    parts = [[f"{spans['span2_text']}: {row['text']}", spans["span1_text"]]]
    yield Record(str(row["idx"]), source, [_label(row["label"], TRUTH)], parts=parts)


def _marked(text: str, span: str, index: int, mark: str) -> str:
    """The span that begins at word `index` between marks; where it does not stand there, the text as it is (so T5)."""
    return re.sub(rf"^((?:\S+\s){{{index}}})({re.escape(span)})", rf"\1{mark} \2 {mark}", text)


def _wsc_referent(row: Row) -> Iterator[Record]:
    """The pronoun in asterisks; the target is what the row asks about, right or wrong, and `group` says which."""
    spans = _spans(row)
    words, pronoun = row["text"].split(" "), spans["span2_text"]
    # In two texts of the data set the number is that of the word before, or the pronoun has punctuation behind it.
    said = re.compile(rf"{re.escape(pronoun)}(\W.*)?")
    place = next(i for i in range(spans["span2_index"], len(words)) if said.fullmatch(words[i]))
    words[place] = f"*{pronoun}*" + (f" {behind}" if (behind := words[place].removeprefix(pronoun)) else "")
    source = " ".join(words).rstrip()
    yield Record(str(row["idx"]), source, [spans["span1_text"]], group=_label(row["label"], TRUTH))


_NONE = "none of the classes"


def _labels(names: tuple[str, ...], spelled: tuple[str, ...]) -> Postprocess:
    """Classes as the official files spell them; a hypothesis that is none, letter by letter, is wrong."""
    official = dict(zip(names, spelled, strict=True))

    def postprocess(hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
        return [official.get(text, _NONE) for text in hypotheses], [official[r.targets[0]] for r in records]

    return postprocess


def _options(hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
    """By question the labels of its answers; what is none of the two is the wrong one, as in Lester et al.'s F1a."""
    spelled, wrong = {"True": "1", "False": "0"}, {"1": "0", "0": "1"}
    questions: dict[str, tuple[list[str], list[str]]] = {}
    for text, record in zip(hypotheses, records, strict=True):
        mine, gold = questions.setdefault(record.id.rpartition("-")[0], ([], []))
        gold.append(spelled[record.targets[0]])
        mine.append(spelled.get(text, wrong[gold[-1]]))
    return [mine for mine, _ in questions.values()], [gold for _, gold in questions.values()]


_DETERMINERS = frozenset(
    "a an few her his each every many much my our some that the their these this those which whose your".split()
)


def _content(text: str) -> str:
    return " ".join(word for word in text.strip().lower().split(" ") if word not in _DETERMINERS)


def _referents(hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
    """T5's judgement: a hypothesis names the referent if the words of one hold the other's, determiners and case aside."""
    named = []
    for text, record in zip(hypotheses, records, strict=True):
        mine, gold = _content(text), _content(record.targets[0])
        words, wanted = set(mine.split(" ")), set(gold.split(" "))
        same_owner = ("'" in mine) == ("'" in gold)  # "Bob" is not "Bob's hat"
        same = str(same_owner and (words <= wanted or wanted <= words)).lower()
        named.append(same if mine else _NONE)  # saying nothing is no answer
    return named, [record.group.lower() for record in records]


@dataclass(frozen=True)
class Form:
    """A data set as text to text: how each of its rows is read."""

    data: DataSet
    read: Reader
    of: Callable[[Row], Any] | None = None  # the text that rows share
    only_true: bool = False  # of the rows that are trained on

    def download(self, source: SplitRowsSource, out: Path) -> None:
        fetch_rows(source, self.data, out, self.of)

    def linearize(self, raw: Path, options: Linearize) -> dict[str, list[Record]]:
        """Records by split. Raises UserError for a row of another form."""
        return {split: self._records(raw / f"{split}.jsonl", split) for split in ("train", "dev", "test")}

    def _records(self, path: Path, split: str) -> list[Record]:
        records = []
        for number, row in enumerate(read_rows(path, self.data.keys), start=1):
            try:
                records += self.read(row)
            except (LookupError, TypeError, ValueError, AttributeError, StopIteration, RuntimeError) as error:
                raise UserError(f"{path}, row {number}: no row of {self.data.folder} ({error})") from error
        if self.only_true and split != "test":
            records = [record for record in records if record.group == "True"]
            if not records:
                raise UserError(f"{path} has no row whose label is true, and is learnt from these alone")
        return records


def _idx(level: str) -> Callable[[Row], Any]:
    """The number of an official row, or of the hub's whole that a row is part of."""
    return lambda row: row["idx"][level] if isinstance(row["idx"], dict) else row["idx"]


def _data(folder: str, keys: str, config: str | None = None) -> DataSet:
    """The hub calls it what the official folder is called, in lower case, if there is no `config`."""
    return DataSet(folder, config or folder.lower(), tuple(keys.split()))


# In the order of the hub's numbers.
_COMMITMENT, _ENTAILMENT = ("entailment", "contradiction", "neutral"), ("entailment", "not_entailment")
_PREMISE = (("hypothesis", "premise"), ("premise", "hypothesis"))
_WSC = _data("WSC", "text label", config="wsc.fixed")

FORMS = {
    "boolq": Form(
        _data("BoolQ", "question passage label"),
        _sentences(TRUTH, ("passage", "question"), ("question", "passage")),
        of=lambda row: row["passage"],
    ),
    "cb": Form(
        _data("CB", "premise hypothesis label"), _sentences(_COMMITMENT, *_PREMISE), of=lambda row: row["premise"]
    ),
    "copa": Form(_data("COPA", "premise choice1 choice2 question label"), _copa),
    "multirc": Form(_data("MultiRC", "idx"), _multirc, of=_idx("paragraph")),
    "record": Form(_data("ReCoRD", "idx passage"), _record, of=_idx("passage")),
    "rte": Form(
        _data("RTE", "premise hypothesis label"), _sentences(_ENTAILMENT, *_PREMISE), of=lambda row: row["premise"]
    ),
    "wic": Form(_data("WiC", "word sentence1 sentence2 label"), _wic),
    "wsc": Form(_WSC, _wsc, of=lambda row: row["text"]),
    "wsc_referent": Form(_WSC, _wsc_referent, of=lambda row: row["text"], only_true=True),
}
_METRICS = ("accuracy", "F1", "F1a", "EM")


def _task(name: str, metrics: str, postprocess: Postprocess) -> Task:
    return Task(
        source=SplitRowsSource,
        download=FORMS[name].download,
        linearize=FORMS[name].linearize,
        metrics=METRIC_SETS[f"superglue/{metrics}"],
        shown=Shown(figures=_METRICS, percent=_METRICS),
        postprocess=postprocess,
        recipe="superglue",
        section="superglue",
        votes=True,
    )


_OF_TRUTH = _labels(TRUTH, files.TRUTH.official)
TASKS = {
    "boolq": _task("boolq", "boolq", _OF_TRUTH),
    "cb": _task("cb", "cb", _labels(_COMMITMENT, files.COMMITMENT.official)),
    "copa": _task("copa", "copa", _labels(CHOICE, files.CHOICE.official)),
    "multirc": _task("multirc", "multirc", _options),
    "record": _task("record", "record", references_of),
    "rte": _task("rte", "rte", _labels(_ENTAILMENT, files.ENTAILMENT.official)),
    "wic": _task("wic", "wic", _OF_TRUTH),
    "wsc": _task("wsc", "wsc", _OF_TRUTH),
    "wsc_referent": _task("wsc_referent", "wsc", _referents),
}
