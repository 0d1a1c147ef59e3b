"""Stage: put the task's official files into data/raw/<task>."""

from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.tasks import TASKS


@entry_point
def main() -> None:
    chosen = params.load()
    TASKS[chosen.task].fetch(getattr(chosen.sources, chosen.task), Path("data/raw") / chosen.task)


if __name__ == "__main__":
    main()
