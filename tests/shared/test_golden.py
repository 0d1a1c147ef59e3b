"""Every golden case, by the command line, equal to what the official scripts print (../shared, no part of the project).

Also the official preparation of WebNLG's texts, byte for byte.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.files import TextFile
from stages.scoring import java, webnlg
from stages.scoring.scores import Unavailable

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT.parent / "shared" / "golden"
TASKS = {"e2e_dev": "e2e", "e2e_test": "e2e", "webnlg_test": "webnlg", "dart_test": "dart", "xsum_like": "xsum"}
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/official.json"))

# What the official scripts print: decimals, or all of them.
DECIMALS = {"e2e": dict.fromkeys(("BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"), 4)}
DECIMALS["webnlg"] = DECIMALS["dart"] = {"BLEU": 2}
EXACT = ("hyp_len", "ref_len", "METEOR", "TER", "TER_edits", "TER_ref_words")

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.skipif(not CASES, reason="no ../shared/golden here")]


@pytest.fixture(autouse=True)
def real_java():
    try:
        java.find()
    except Unavailable as error:
        pytest.skip(str(error))


def command_line(case: Path) -> dict:
    raw = case / "hyp.raw.txt"
    files = ["--hyp", raw if raw.exists() else case / "hyp.txt", "--refs", *sorted(case.glob("refs*.txt"))]
    if (case / "subset.txt").exists():
        files += ["--subsets", case / "subset.txt"]
    command = [sys.executable, "-m", "stages.scoring", "--task", TASKS[case.parent.name], *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["metrics"]


def test_the_twelve_cases_are_here():
    assert len(CASES) >= 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_case(case):
    task = TASKS[case.parent.name]
    ours, official = command_line(case), json.loads((case / "official.json").read_text())["metrics"]
    if task == "xsum":
        assert ours == {name: pytest.approx(official[name], abs=1e-4) for name in ("rouge1", "rouge2", "rougeL")}
        return
    for subset in official if task == "webnlg" else [None]:
        mine, theirs = (ours[subset], official[subset]) if subset else (ours, official)
        for name, decimals in DECIMALS[task].items():
            assert f"{mine[name]:.{decimals}f}" == f"{theirs[name]:.{decimals}f}", (subset, name)
        for name in EXACT if task != "e2e" else ():
            assert mine[name] == theirs[name], (subset, name)


@pytest.mark.parametrize("team", sorted(path.name for path in GOLDEN.glob("webnlg_test/*")))
def test_preparation_of_submissions(team):
    case = GOLDEN / "webnlg_test" / team
    prepared = [webnlg.prepare_hypothesis(text) for text in TextFile(case / "hyp.raw.txt").lines]
    assert prepared == [text.strip() for text in TextFile(case / "hyp.txt").lines]
