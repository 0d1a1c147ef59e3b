"""The commands that README and docs give change params.yaml into something that can be run."""

import re
import shlex
from itertools import pairwise

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from stages.studies.settings import check_method, settings_of

from stages import params
from stages.studies.grid import cells_of
from tests.conftest import ROOT


def commands():
    """All `dvc exp run` in fenced blocks, by file and number."""
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"^```\w*\n(.*?)^```", file.read_text(), flags=re.M | re.S)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        for number, line in enumerate(line for line in lines if "exp run" in line):
            yield pytest.param(re.search("dvc (--cd pretrain )?exp run[^;]*", line)[0], id=f"{file.name}-{number}")


FOUND = list(commands())


def test_there_are_some():
    assert len(FOUND) > 10


@pytest.mark.parametrize("command", FOUND)
def test_a_command_of_the_docs_changes_what_there_is(command, project):
    words = [word for word in shlex.split(command, comments=True) if word != "..."]
    given = [after.removeprefix("../params.yaml:") for word, after in pairwise(words) if word in ("-S", "--set-param")]
    if given:
        apply_overrides(project / "params.yaml", given)
    raw = yaml.safe_load((project / "params.yaml").read_text())
    chosen = params.check(raw)
    assert chosen.decoding and (chosen.training is None) == (chosen.method == "none"), "or a recipe is missing"
    for study in chosen.studies if "stages/studies/dvc.yaml" in command else ():
        for cell in cells_of(raw, study):
            check_method(cell)
            settings_of(cell)
