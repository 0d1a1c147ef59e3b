"""Stage: read the official files into data/linearized/<task>/{train,dev,test}.jsonl, one record per source.

Where the authors' own file layout is known (a task's `authors_files`), their files stand beside them.
"""

from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing, write_text
from stages.core.record import write_records
from stages.core.stage_costs import write_stage_cost
from stages.tasks import task_of


@entry_point
def main() -> None:
    chosen = params.load()
    task = task_of(chosen.task)
    found = task.linearize(Path("data/raw") / chosen.task, chosen.linearize)
    splits = {split: list(records) for split, records in found.items()}
    directory = Path("data/linearized") / chosen.task
    with replacing(directory) as out:
        out.mkdir()
        for split, records in splits.items():
            write_records(out / f"{split}.jsonl", records)
            print(
                f"{chosen.task} {split}: {sum(len(r.targets) for r in records):,} targets of {len(records):,} sources"
            )
        for name, text in (task.authors_files(splits) if task.authors_files else {}).items():
            write_text(out / name, text)
    write_stage_cost("linearize", directory)


if __name__ == "__main__":
    main()
