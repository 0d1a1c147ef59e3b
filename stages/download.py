"""Stage: put the task's official files into data/raw/<task>."""

from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.stage_costs import write_stage_cost
from stages.tasks import source_of, task_of


@entry_point
def main() -> None:
    chosen = params.load()
    out = Path("data/raw") / chosen.task
    task_of(chosen.task).download(source_of(chosen.task, chosen.sources), out)
    write_stage_cost("download", out)


if __name__ == "__main__":
    main()
