"""Costs of processes whose work is known, and the costs of a stage beside its product."""

import json
import subprocess
import sys

import pytest

from stages.core.costs import Cost
from stages.core.stage_costs import COSTS, read_stage_cost, write_stage_cost
from tests.conftest import ROOT

SLEEP = "import time; time.sleep(0.5)"
COMPUTE = "import time; begun = time.process_time()\nwhile time.process_time() < begun + 0.5: pass"
MEMORY = "bytearray(b'x') * (200 * 2**20)"
WORK = f"{COMPUTE}\n{MEMORY}"
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}], check=True)"
PRINT = "import json; from stages.core.costs import cost_of_process; print(json.dumps(vars(cost_of_process())))"


def cost_of(code):
    """What a process that runs the code prints last."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Cost(**json.loads(done.stdout))


@pytest.mark.parametrize("by", ["{}", CHILD], ids=["process", "child"])
def test_a_process_and_its_children_cost_what_they_do(by):
    bare = cost_of(PRINT)
    slept = cost_of(f"{by.format(SLEEP)}\n{PRINT}")
    computed = cost_of(f"{by.format(WORK)}\n{PRINT}")
    assert slept.seconds >= 0.5 and slept.core_seconds < 0.45
    assert 0.5 <= computed.core_seconds <= computed.seconds + 0.1
    assert bare.peak_mb < 100 and slept.peak_mb < 100 and 200 <= computed.peak_mb < 300


def test_what_the_parent_has_does_not_count():
    assert cost_of(f"x = {MEMORY}\n{CHILD.format(PRINT)}").peak_mb < 100


@pytest.fixture
def product(tmp_path, monkeypatch):
    """The product of a stage, a directory, whose costs were written."""
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    (out / "deeper").mkdir(parents=True)
    (out / "deeper/a.txt").write_text("a")
    write_stage_cost("train", out)
    return out


def test_the_costs_of_a_product_are_read_again(product):
    found = read_stage_cost("train", product)
    assert found.core_seconds > 0 and found.seconds > 0 and found.peak_mb > 10
    assert json.loads((COSTS / "train.json").read_text())["cost"] == vars(found)
    assert read_stage_cost("decode", product) is None, "of a stage that has not run"


@pytest.mark.parametrize(
    "change",
    [
        lambda out: (out / "deeper/a.txt").write_text("b"),
        lambda out: (out / "deeper/a.txt").rename(out / "a.txt"),
        lambda out: (out / "b.txt").write_text(""),
        lambda out: out.rename(out.with_name("elsewhere")),
    ],
    ids=["content", "name", "one more", "none"],
)
def test_another_product_has_no_known_costs(product, change):
    change(product)
    assert read_stage_cost("train", product) is None


def test_costs_of_another_version_are_not_known(product):
    file = COSTS / "train.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cost": {"seconds": 1.0}}))
    assert read_stage_cost("train", product) is None


def test_a_file_is_a_product_too(product):
    file = product / "deeper/a.txt"
    write_stage_cost("score", file)
    assert read_stage_cost("score", file) is not None
    file.write_text("b")
    assert read_stage_cost("score", file) is None
