"""Where the outputs of a study's variants differ: their length, their variety, and the fields that they leave out.

python -m stages.studies.outputs STUDY

Reads the hypotheses in studies/data/runs and prints a Markdown table: for each cell means over its runs, and over the
references of the same records.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.record import Record
from stages.studies.grid import cells_of
from stages.studies.score import hypotheses_of
from stages.studies.selection import records_to_decode
from stages.tasks import Task, task_of


@dataclass(frozen=True)
class Outputs:
    """What a text per record comes to.

    `words` a text (split at spaces), `distinct` the share of texts that no other record has, `complete` the share of
    texts that mention all fields of their source, `fields` that of those that mention a field, by field. The last two
    are None and empty where the task cannot tell.
    """

    words: float
    distinct: float
    complete: float | None
    fields: dict[str, float]

    @classmethod
    def of(cls, task: Task, texts: Sequence[str], records: Sequence[Record]) -> "Outputs":
        """`texts[i]` is of `records[i]`. Raises nothing: an empty text mentions nothing."""
        words = fmean(len(text.split()) for text in texts)
        distinct = len(set(texts)) / len(texts)
        if task.mentioned is None:
            return cls(words, distinct, None, {})
        found = [task.mentioned(record.source, text) for record, text in zip(records, texts, strict=True)]
        names = dict.fromkeys(field for one in found for field in one)
        fields = {name: fmean(one[name] for one in found if name in one) for name in names}
        return cls(words, distinct, fmean(all(one.values()) for one in found), fields)

    @classmethod
    def mean(cls, several: Sequence["Outputs"]) -> "Outputs":
        """The mean of several runs on the same records."""
        complete = None if several[0].complete is None else fmean(one.complete for one in several)
        fields = {name: fmean(one.fields[name] for one in several) for name in several[0].fields}
        return cls(fmean(one.words for one in several), fmean(one.distinct for one in several), complete, fields)


def lines(rows: dict[tuple[str, str], Outputs]) -> list[str]:
    """A Markdown table with a row for each variant and size. Shares are in percent."""
    fields = list(next(iter(rows.values())).fields)
    head = ["", "examples", "words", "distinct", *(["all fields"] if fields else []), *fields]
    found = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for (variant, size), own in rows.items():
        shares = [own.distinct, *([own.complete] if own.complete is not None else []), *own.fields.values()]
        texts = [f"{own.words:.1f}", *(f"{100 * share:.1f}" for share in shares)]
        found.append(f"| {variant} | {size} | {' | '.join(texts)} |")
    return found


def rows_of(study: str) -> dict[tuple[str, str], Outputs]:
    """The outputs of each cell that has been run, after those of the references.

    Raises UserError for an unknown study, and for one of which no cell has been run.
    """
    rows = {}
    for cell in cells_of(params.read(), study):
        plan, task = cell.plan, task_of(cell.plan.task)
        if not (plan.out / "hypotheses.jsonl").exists():
            continue
        records = records_to_decode(plan)
        if not rows:
            pairs = [(text, record) for record in records for text in record.targets]
            rows["references", ""] = Outputs.of(task, *map(list, zip(*pairs, strict=True)))
        runs = [Outputs.of(task, texts, records) for texts in hypotheses_of(plan, records)]
        rows[plan.variant, str(plan.size)] = Outputs.mean(runs)
    if not rows:
        raise UserError(f"study {study} has not been run: dvc --cd studies repro summary@{study}")
    return rows


@entry_point
def main() -> None:
    if len(sys.argv) != 2:
        raise UserError("give the name of one study: python -m stages.studies.outputs STUDY")
    print("\n".join(lines(rows_of(sys.argv[1]))))


if __name__ == "__main__":
    main()
