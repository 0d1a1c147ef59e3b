"""The tables of the paper's findings: from the metrics files into docs/results.md."""

import pytest

from stages.core.errors import UserError
from stages.core.files import read_text, write_json
from stages.studies import findings
from stages.studies.findings import BEGIN, END, FINDINGS, Behind, Measured, text_of
from stages.studies.grid import cells_of
from stages.studies.plan import METRICS, size_name
from tests.conftest import ROOT, project_params


def test_numbers_as_the_papers_print_them(project):
    own = {"BLEU": 0.5, "BLEU_sd": 0.0123, "BLEU_behind": -0.02, "BLEU_behind_se": 0.004, "BLEU_behind_p": 0.0312}
    write_json(METRICS / "x.json", {"a": {"task": "e2e", "n00050": own, "full": {"BLEU": 0.7, "BLEU_sd": None}},
                                    "b": {"task": "webnlg", "full": {"BLEU_seen": 45.6, "BLEU_seen_sd": 1}}})  # fmt: skip
    assert text_of(Measured("x", "a", "n00050")) == "50.00 ± 1.23"
    assert text_of(Behind("x", "a", "n00050")) == "-2.00 ± 0.40 (p 0.0312)"
    assert text_of(Measured("x", "a", "full")) == "70.00" and text_of(None) == ""
    assert text_of(Measured("x", "b", "full", "BLEU_seen")) == "45.60 ± 1.00"
    for missing in (Behind("x", "a", "full"), Measured("x", "c", "full"), Measured("y", "a", "full")):
        assert text_of(missing) == "not run"


def test_the_tables_go_between_their_marks(project):
    with pytest.raises(UserError, match=f"lacks the line {END}"):
        findings.replaced(f"a {BEGIN} b")
    with pytest.raises(UserError, match=f"lacks the line {BEGIN}"):
        findings.replaced("a")
    once = findings.replaced(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert once.startswith(f"before\n{BEGIN}\n\n### F1.") and once.endswith(f"{END}\nafter\n") and "old" not in once
    assert findings.replaced(once) == once


def test_the_docs_have_the_tables_of_the_metrics_in_git(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = read_text(findings.OUT)
    assert findings.replaced(text) == text, "python -m stages.studies.findings"


def test_each_number_is_one_of_a_declared_cell():
    """Otherwise a row would say for ever that it was not run."""
    raw, known = dict(project_params()), {}
    for row in (row for finding in FINDINGS for row in finding.rows):
        for one in filter(None, (row.mini, row.real)):
            if one.study not in known:
                known[one.study] = {(cell.variant, size_name(cell.size)) for cell in cells_of(raw, one.study)}
            assert (one.variant, one.size) in known[one.study], (row.name, one)
    assert [finding.title[:3] for finding in FINDINGS] == [f"F{number}." for number in range(1, 9)]
