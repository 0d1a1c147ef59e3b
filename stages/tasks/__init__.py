"""Tasks: one module per dataset.

Each has `fetch(source, out)`, which puts the official files into a directory, `linearize(raw, options)`,
which reads them into records by split, and `SCORING`, its official metrics (`stages/scoring/`).
To add a task, write its module, name it here and in `stages/sections.py`, and give it `sources`.
"""

from types import ModuleType

from stages.tasks import dart, e2e, mini_e2e, mini_webnlg, mini_xsum, webnlg, xsum

TASKS: dict[str, ModuleType] = {
    "e2e": e2e,
    "webnlg": webnlg,
    "dart": dart,
    "xsum": xsum,
    "mini_e2e": mini_e2e,
    "mini_webnlg": mini_webnlg,
    "mini_xsum": mini_xsum,
}
