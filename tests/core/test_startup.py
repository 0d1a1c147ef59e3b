"""A stage's imports: the garbage collector is off meanwhile and never looks at them; threads sleep soon."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = """
import gc
from stages.core.startup import model_imports
with model_imports():
    print(gc.isenabled(), gc.get_freeze_count())
    imported = [[] for _ in range(5000)]
print(gc.isenabled(), gc.get_freeze_count() > 5000, len(gc.get_objects()) < 100)
"""


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_collector_is_off_within_and_on_afterwards():
    assert printed(CODE) == ["False 0", "True True True"]


def test_after_an_error_and_where_it_was_off_it_is_as_before():
    code = (
        "import gc\nfrom stages.core.startup import model_imports\n{}try:\n    with model_imports():\n        1 / 0\n"
    )
    code += "except ZeroDivisionError:\n    print(gc.isenabled())"
    assert printed(code.format("")) == ["True"] and printed(code.format("gc.disable()\n")) == ["False"]


@pytest.mark.parametrize("stage", ["train", "decode"])
def test_the_stages_with_a_model_import_so(stage):
    code = f"import gc, stages.{stage}; print(gc.isenabled(), gc.get_freeze_count() > 300_000)"
    assert printed(code) == ["True True"]


@pytest.mark.parametrize(
    ("given", "spin"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["none", "own", "policy"],
)
def test_what_the_user_says_of_waiting_threads_goes_first(given, spin, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    code = "import os, sys; from stages.core.startup import model_imports\nwith model_imports():\n"
    code += "    print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    assert printed(code) == [f"{spin} False"]
