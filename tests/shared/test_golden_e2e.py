"""The numbers of the official E2E script, digit for digit, on real outputs (../shared, not part of the project)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.scoring import e2e, java
from stages.scoring.formats import read_hypotheses, read_references
from stages.scoring.scores import Unavailable

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT.parent / "shared" / "golden").glob("e2e_*/*"))

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CASES, reason="no ../shared/golden/e2e_* here"),
]


@pytest.fixture(autouse=True)
def real_java():
    try:
        java.find()
    except Unavailable as error:
        pytest.skip(str(error))


def official(case):
    return json.loads((case / "official.json").read_text())["metrics"]


def printed(metrics):
    return {name: f"{value:.4f}" for name, value in metrics.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_library(case):
    scores = e2e.score(read_hypotheses(case / "hyp.txt"), read_references(case / "refs.txt"))
    assert scores.metrics == official(case)
    assert scores.reasons == {}


def test_command_line():
    case = min(CASES, key=lambda case: (case / "refs.txt").stat().st_size)
    command = [sys.executable, "-m", "stages.scoring", "--task", "e2e"]
    files = ["--hyp", str(case / "hyp.txt"), "--refs", str(case / "refs.txt")]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert printed(json.loads(done.stdout)["metrics"]) == printed(official(case))
