"""QQP and MRPC of GLUE as text to text, and from one to the other (Lester et al. 2021, section 5).

The strings are T5's without the task's name. In `qqp_to_mrpc` the training and dev rows are QQP's and the test rows
MRPC's; the source task's words for the classes are kept, and what is written is translated before it is scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.core.files import replacing
from stages.core.record import Record
from stages.scoring.metric_set import MetricSet, without_programs
from stages.scoring.paraphrase import accuracy_and_f1
from stages.tasks import Linearize, Shown, Task
from stages.tasks.common.rows import DataSet, SplitRowsSource, fetch_rows, fetch_test_rows, read_rows


@dataclass(frozen=True)
class Paraphrase:
    """A data set of pairs of sentences, whose negative class is `not_` and the positive one's name."""

    folder: str
    texts: tuple[str, str]  # the keys of the two sentences
    positive: str

    @property
    def data(self) -> DataSet:
        return DataSet(self.folder, self.folder.lower(), (*self.texts, "label"))

    @property
    def labels(self) -> tuple[str, str]:
        return f"not_{self.positive}", self.positive

    @property
    def metrics(self) -> MetricSet:
        return MetricSet(_no_files, without_programs(partial(accuracy_and_f1, self.positive, labels=self.labels)))

    def download(self, source: SplitRowsSource, out: Path) -> None:
        fetch_rows(source, self.data, out)

    def linearize(self, raw: Path, options: Linearize) -> dict[str, list[Record]]:
        """Records by split. Raises UserError for a row of another form."""
        return {split: list(self.records(raw / f"{split}.jsonl")) for split in ("train", "dev", "test")}

    def records(self, path: Path) -> Iterator[Record]:
        for number, row in enumerate(read_rows(path, self.data.keys), start=1):
            texts, label = [row[key] for key in self.texts], row["label"]
            if label not in (0, 1) or isinstance(label, float) or not all(isinstance(text, str) for text in texts):
                raise UserError(f"{path}, row {number}: {' and '.join(self.texts)} must be texts, label 0 or 1")
            source = " ".join(f"{key}: {text}" for key, text in zip(self.texts, texts, strict=True))
            yield Record(str(row.get("idx", number)), source, [self.labels[label]], parts=[texts])

    def postprocess(self, hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
        return hypotheses, [record.targets[0] for record in records]


@dataclass(frozen=True)
class Shifted:
    """One data set to learn from, another to be tested on."""

    learnt: Paraphrase
    tested: Paraphrase

    @property
    def metrics(self) -> MetricSet:
        return self.tested.metrics

    def download(self, source: SplitRowsSource, out: Path) -> None:
        with replacing(out) as directory:
            directory.mkdir()
            self.learnt.download(source, directory / "learnt")
            fetch_test_rows(source, self.tested.data, directory / "tested")

    def linearize(self, raw: Path, options: Linearize) -> dict[str, list[Record]]:
        """Training and dev records of the one, test records of the other. Raises UserError."""
        test = list(self.tested.records(raw / "tested/test.jsonl"))
        return self.learnt.linearize(raw / "learnt", options) | {"test": test}

    def postprocess(self, hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
        translated = [text.replace(self.learnt.positive, self.tested.positive) for text in hypotheses]
        return self.tested.postprocess(translated, records)


def _no_files(hypotheses: Path, references: list[Path]) -> tuple[list[Any], list[Any]]:
    raise UserError("QQP and MRPC are scored by the pipeline alone: their test labels are not published")


def _task(of: Paraphrase | Shifted) -> Task:
    return Task(
        source=SplitRowsSource,
        download=of.download,
        linearize=of.linearize,
        metrics=of.metrics,
        shown=Shown(figures=("accuracy", "F1"), percent=("accuracy", "F1")),
        postprocess=of.postprocess,
        recipe="superglue",
        section="glue",
        votes=True,
    )


QQP = Paraphrase("QQP", ("question1", "question2"), "duplicate")
MRPC = Paraphrase("MRPC", ("sentence1", "sentence2"), "equivalent")
TASKS = {
    "qqp": _task(QQP),
    "mrpc": _task(MRPC),
    "qqp_to_mrpc": _task(Shifted(QQP, MRPC)),
    "mrpc_to_qqp": _task(Shifted(MRPC, QQP)),
}
