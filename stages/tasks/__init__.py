"""Tasks: one module per dataset.

Each has `fetch(source, out)`, which puts the official files into a directory, `linearize(raw, options)`,
which reads them into records by split, `SCORING`, its official metrics (`stages/scoring/`), and `compared(hypotheses,
records)`, what these compare. To add a task, write its module, name it here, in `stages/core/sections.py` and in
`stages/sources.py`, and give it `sources`.
"""

from types import ModuleType

from stages.tasks import (
    conll,
    dart,
    e2e,
    mini_conll2003,
    mini_e2e,
    mini_rte,
    mini_webnlg,
    mini_xsum,
    paraphrase,
    squad_to_mrqa,
    superglue,
    webnlg,
    xsum,
)

TASKS: dict[str, ModuleType | superglue.SuperGlue | paraphrase.Paraphrase | paraphrase.Shifted] = {
    "e2e": e2e,
    "webnlg": webnlg,
    "dart": dart,
    "xsum": xsum,
    "mini_e2e": mini_e2e,
    "mini_webnlg": mini_webnlg,
    "mini_xsum": mini_xsum,
    "boolq": superglue.BOOLQ,
    "cb": superglue.CB,
    "copa": superglue.COPA,
    "multirc": superglue.MULTIRC,
    "record": superglue.RECORD,
    "rte": superglue.RTE,
    "wic": superglue.WIC,
    "wsc": superglue.WSC,
    "wsc_referent": superglue.WSC_REFERENT,
    "mini_rte": mini_rte,
    "conll2003": conll,
    "conll04": conll,
    "ontonotes": conll,
    "mini_conll2003": mini_conll2003,
    "qqp": paraphrase.QQP,
    "mrpc": paraphrase.MRPC,
    "qqp_to_mrpc": paraphrase.QQP_TO_MRPC,
    "mrpc_to_qqp": paraphrase.MRPC_TO_QQP,
    "squad_to_mrqa": squad_to_mrqa,
}
