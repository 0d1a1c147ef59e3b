"""Stage: download and linearize the data of a task for all studies, into data/studies/data/<task>."""

import sys
import tempfile
from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing
from stages.core.record import write_records
from stages.studies.grid import DATA
from stages.tasks import source_of, task_of


def directory_of(task: str) -> Path:
    return DATA / "data" / task


@entry_point
def main() -> None:
    [task] = sys.argv[1:]
    chosen = params.load()
    with replacing(directory_of(task)) as out, tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        raw = Path(temporary) / "raw"
        task_of(task).download(source_of(task, chosen.sources), raw)
        out.mkdir()
        for split, records in task_of(task).linearize(raw, chosen.linearize).items():
            write_records(out / f"{split}.jsonl", records)


if __name__ == "__main__":
    main()
