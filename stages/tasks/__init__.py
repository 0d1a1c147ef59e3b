"""Tasks: one module per dataset.

Each has `fetch(source, out)`, which puts the official files into a directory, `linearize(raw, options)`,
which reads them into records by split, and `score(hypotheses, references)`, its official metrics.
To add a task, write its module, name it here and in `stages/params.py`, and give it `sources`.
"""

from stages.tasks import e2e, mini_e2e

TASKS = {"e2e": e2e, "mini_e2e": mini_e2e}
