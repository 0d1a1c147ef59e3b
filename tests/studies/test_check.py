"""What the settings of a stage leave out is no part of the stage."""

import sys
from pathlib import Path

import pytest
import yaml

from stages import params
from stages.studies import data
from stages.studies.check import SCORING
from tests.conftest import ROOT


@pytest.mark.parametrize("task", ["mini_e2e", "mini_webnlg", "mini_xsum", "mini_rte", "mini_conll2003"])
def test_no_reader_of_data_calls_the_code_of_scoring(project, monkeypatch, task):
    """The data of studies do not depend on it (`data_settings`)."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["sources"][task] |= {"train": 6, "dev": 4, "test": 3}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    params.load()  # imports the tasks' files, which build their metric sets
    monkeypatch.setattr(sys, "argv", ["data", task])
    called = set()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_filename) if event == "call" else None)
    try:
        data.main()
    finally:
        sys.setprofile(None)
    own = {Path(name).relative_to(ROOT) for name in called if name.startswith(str(ROOT / "stages"))}
    assert Path("stages/studies/data.py") in own
    assert not [file for file in own if file.is_relative_to(SCORING)]
