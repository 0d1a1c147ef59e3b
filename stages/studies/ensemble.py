"""What the runs of a cell come to by vote (Lester et al. 2021, section 6): for each record the answer of most."""

from stages.decoding.ensemble import vote
from stages.score import scores_of
from stages.studies.gang import test_records
from stages.studies.grid import Cell
from stages.tasks import task_of


def voted(cell: Cell, answers: list[list[str]]) -> dict[str, float]:
    """The metrics of the votes on `answers[run][record]`; of several runs of a task with classes; longer texts cannot vote."""
    task = cell.first.task
    if not task_of(task).votes or len(answers) < 2:
        return {}
    with task_of(task).metrics.scorer() as measure:
        return scores_of(task, measure, vote(answers), test_records(cell)).metrics
