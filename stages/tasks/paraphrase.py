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
from stages.core.sections import Linearize
from stages.scoring.metric_set import MetricSet, without_programs
from stages.scoring.paraphrase import accuracy_and_f1
from stages.sources import Rows, Shift
from stages.tasks.rows import fetch_rows, fetch_test_rows, read_rows


@dataclass(frozen=True)
class Paraphrase:
    """A data set of pairs of sentences, whose negative class is `not_` and the positive one's name."""

    folder: str
    keys: tuple[str, str]
    positive: str

    @property
    def columns(self) -> tuple[str, ...]:
        return *self.keys, "label"

    @property
    def labels(self) -> tuple[str, str]:
        return f"not_{self.positive}", self.positive

    @property
    def SCORING(self) -> MetricSet:
        measure = partial(accuracy_and_f1, self.positive, labels=self.labels)
        return MetricSet(_no_files, without_programs(measure))

    def fetch(self, source: Rows, out: Path) -> None:
        fetch_rows(source, self.folder, self.columns, out)

    def linearize(self, raw: Path, options: Linearize) -> dict[str, list[Record]]:
        """Records by split. Raises UserError for a row of another form."""
        return {split: list(self.records(raw / f"{split}.jsonl")) for split in ("train", "dev", "test")}

    def records(self, path: Path) -> Iterator[Record]:
        for number, row in enumerate(read_rows(path, self.columns), start=1):
            texts = [row[key] for key in self.keys]
            if (
                row["label"] not in (0, 1)
                or isinstance(row["label"], float)
                or not all(isinstance(text, str) for text in texts)
            ):
                raise UserError(f"{path}, row {number}: {' and '.join(self.keys)} must be texts, label 0 or 1")
            source = " ".join(f"{key}: {text}" for key, text in zip(self.keys, texts, strict=True))
            yield Record(str(row.get("idx", number)), source, [self.labels[row["label"]]], parts=[texts])

    def compared(self, hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
        return hypotheses, [record.targets[0] for record in records]


@dataclass(frozen=True)
class Shifted:
    """One data set to learn from, another to be tested on."""

    learnt: Paraphrase
    tested: Paraphrase

    @property
    def SCORING(self) -> MetricSet:
        return self.tested.SCORING

    def fetch(self, source: Shift, out: Path) -> None:
        with replacing(out) as directory:
            directory.mkdir()
            self.learnt.fetch(source.learnt, directory / "learnt")
            fetch_test_rows(source.tested, self.tested.folder, self.tested.columns, directory / "tested")

    def linearize(self, raw: Path, options: Linearize) -> dict[str, list[Record]]:
        """Training and dev records of the one, test records of the other. Raises UserError."""
        test = list(self.tested.records(raw / "tested/test.jsonl"))
        return self.learnt.linearize(raw / "learnt", options) | {"test": test}

    def compared(self, hypotheses: list[str], records: list[Record]) -> tuple[list, list]:
        translated = [text.replace(self.learnt.positive, self.tested.positive) for text in hypotheses]
        return self.tested.compared(translated, records)


def _no_files(hypotheses: Path, references: list[Path]) -> tuple[list[Any], list[Any]]:
    raise UserError("QQP and MRPC are scored by the pipeline alone: their test labels are not published")


QQP = Paraphrase("QQP", ("question1", "question2"), "duplicate")
MRPC = Paraphrase("MRPC", ("sentence1", "sentence2"), "equivalent")
QQP_TO_MRPC, MRPC_TO_QQP = Shifted(QQP, MRPC), Shifted(MRPC, QQP)
