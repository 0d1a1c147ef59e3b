"""Stage: download and linearize the data of a task for all studies, into studies/data/linearized/<task>."""

import sys
import tempfile
from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing
from stages.core.record import write_records
from stages.studies.plan import linearized
from stages.tasks import task_of


def write_data(name: str, chosen: params.Params) -> None:
    """Download and linearize the data of the task `name`, for all studies. Raises UserError as the task's functions."""
    task = task_of(name)
    with replacing(linearized(name)) as out, tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        raw = Path(temporary) / "raw"
        task.download(chosen.source_of(name), raw)
        out.mkdir()
        for split, records in task.linearize(raw, chosen.linearize).items():
            write_records(out / f"{split}.jsonl", records)


@entry_point
def main() -> None:
    [name] = sys.argv[1:]
    write_data(name, params.load())


if __name__ == "__main__":
    main()
