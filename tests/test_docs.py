"""README and docs: commands name parameters, stages and programs that there are; links lead somewhere."""

import re
import shlex
from importlib.util import find_spec
from itertools import pairwise

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from stages import params
from stages.studies.check import check_method, settings_of
from stages.studies.grid import cells_of
from tests.conftest import ROOT

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_lines(file):
    """The lines of fenced blocks, joined where a backslash continues them."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", file.read_text(), flags=re.M | re.S)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def commands():
    """All `dvc exp run` in fenced blocks, by file and number."""
    for file in FILES:
        found = re.findall(r"dvc (?:--cd \w+ )?exp run[^;\n]*", "\n".join(code_lines(file)))
        for number, command in enumerate(found):
            yield pytest.param(command, id=f"{file.name}-{number}")


FOUND = list(commands())


def test_there_are_some():
    assert len(FOUND) > 10


@pytest.mark.parametrize("command", FOUND)
def test_a_command_of_the_docs_changes_what_there_is(command, project):
    words = [word for word in shlex.split(command, comments=True) if word != "..."]
    given = [after for word, after in pairwise(words) if word in ("-S", "--set-param")]
    nested = "--cd" in words
    assert all(value.startswith("../params.yaml:") == nested for value in given), "dvc --cd changes the directory"
    given = [value.removeprefix("../params.yaml:") for value in given]
    if given:
        apply_overrides(project / "params.yaml", given)
    raw = yaml.safe_load((project / "params.yaml").read_text())
    chosen = params.check(raw)
    assert chosen.decoding and (chosen.training is None) == (chosen.method in ("none", "in_context")), (
        "or a recipe is missing"
    )
    [study] = re.findall(r"exp run summary@(\w+)", command) or [None]
    for cell in cells_of(raw, study) if study else ():
        check_method(cell)
        settings_of(cell)


@pytest.fixture(scope="module")
def stages_of():
    """The names of the stages of a DVC project, by its directory."""
    return {
        name: {stage.name for stage in Repo(str(ROOT / name)).index.stages} for name in (".", "studies", "pretrain")
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_stages_and_programs_that_are_named_are_there(file, stages_of):
    text = file.read_text()
    # dvc at the beginning of a line or of inline code; names up to an option, a comment or the end of the code
    named = re.findall(r"(?:^|`)dvc (?:--cd (\w+) )?(?:repro|exp run)((?: \w[\w@-]*)*)", text, flags=re.M)
    for project, names in named:
        wanted = {name for name in names.split() if not name.endswith("@")}  # summary@<name>
        assert wanted <= stages_of[project or "."], f"{names} of {project or 'the root'}"
    for module in re.findall(r"python -m ([\w.]+)", text):
        if module != "bench.strength":  # of the commit that docs/base-models.md names
            assert find_spec(module.rstrip(".")), module


def anchors(file):
    """The anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", file.read_text(), flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_lead_somewhere(file):
    for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
