"""The garbage collector is off while a stage imports, never looks at what was imported, and is on afterwards."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = """
import gc
from stages.core.startup import lasting_imports
with lasting_imports():
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
    code = "import gc\nfrom stages.core.startup import lasting_imports\n{}try:\n    with lasting_imports():\n        1 / 0\n"
    code += "except ZeroDivisionError:\n    print(gc.isenabled())"
    assert printed(code.format("")) == ["True"] and printed(code.format("gc.disable()\n")) == ["False"]


@pytest.mark.parametrize("stage", ["train", "decode"])
def test_the_stages_with_a_model_import_so(stage):
    code = f"import gc, stages.{stage}; print(gc.isenabled(), gc.get_freeze_count() > 300_000)"
    assert printed(code) == ["True True"]
