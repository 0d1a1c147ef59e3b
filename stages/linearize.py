"""Stage: read the official files into data/linearized/<task>/{train,dev,test}.jsonl, one record per source."""

from pathlib import Path

from stages import params
from stages.errors import entry_point
from stages.files import replacing
from stages.tasks import TASKS
from stages.tasks.record import write_records


@entry_point
def main() -> None:
    chosen = params.load()
    splits = TASKS[chosen.task].linearize(Path("data/raw") / chosen.task, chosen.linearize)
    with replacing(Path("data/linearized") / chosen.task) as out:
        out.mkdir()
        for split, records in splits.items():
            write_records(out / f"{split}.jsonl", records)
            print(
                f"{chosen.task} {split}: {sum(len(r.targets) for r in records):,} targets of {len(records):,} sources"
            )


if __name__ == "__main__":
    main()
