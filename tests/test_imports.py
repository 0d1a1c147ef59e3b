"""A stage that needs no model imports no torch: seconds that every `dvc repro` would pay for nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BEFORE, BEHIND = ("download", "linearize", "subsample"), ("score", "summary")
RUN = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"stages.{name}").main()
    print(name, "imported", {"torch", "transformers", "datasets"} & set(sys.modules))
"""
PREDICTED = (
    '{"id": "1", "source": "a", "group": null, "name": null, "hypothesis": "An oak.", "references": ["An oak."]}'
)


def imported(project, stages):
    """What the stages print, run in one process of their own."""
    command, environment = [sys.executable, "-c", RUN, *stages], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if " imported " in line]


@pytest.mark.parametrize("task", ["mini_e2e", "mini_webnlg", "mini_xsum"])
def test_stages_without_a_model_run_without_torch(project, task):
    raw = yaml.safe_load((project / "params.yaml").read_text()) | {"task": task}
    raw["sources"][task] |= {"train": 6, "dev": 4, "test": 3}
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    assert imported(project, BEFORE) == [f"{stage} imported set()" for stage in BEFORE]
    (project / "data/run/predictions.jsonl").write_text(PREDICTED)
    assert imported(project, BEHIND) == [f"{stage} imported set()" for stage in BEHIND]


def test_task_files_import_no_torch():
    code = (
        "import sys, stages.tasks as tasks; print([n for n in sys.modules if n.startswith('stages.tasks.')]);"
        "print(len(tasks.names()) >= 26, {'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue set()\n", "importing stages.tasks alone imports no task"


def test_metric_sets_import_no_torch():
    code = (
        "import sys; from stages.scoring.metric_set import metric_sets; print(len(metric_sets()));"
        "print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "13\nset()\n"


def imports_of(module):
    """The project's modules that it imports, by file."""
    found = (
        f"import sys, {module}; [print(m.__file__) for n, m in list(sys.modules.items()) if n.startswith('stages.')]"
    )
    done = subprocess.run([sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {str(Path(file).relative_to(ROOT)) for file in done.stdout.splitlines()}
    return {file for file in imported if not file.endswith("__init__.py")}


def deps_of(pipeline, stage):
    return yaml.safe_load((ROOT / pipeline).read_text())["stages"][stage]["deps"]


PACKAGES = ("core", "models", "training", "decoding", "methods")


@pytest.mark.parametrize("stage", ["train", "decode"])
def test_a_stage_depends_on_what_it_imports(stage):
    """Else a change of it would leave `dvc repro` with nothing to do."""
    imported = {file for file in imports_of(f"stages.{stage}") if file.split("/")[1] in PACKAGES}
    assert {file.split("/")[1] for file in imported} >= {"core", "models", "methods"}
    deps = deps_of("dvc.yaml", stage)
    assert {file for file in imported if str(Path(file).parent) not in deps} == set()


# A cell's parameters are its settings, and its data files: what reads and makes those moves it through them.
APART = ("stages/core/errors.py", "stages/core/files.py", "stages/models/progress.py", "stages/core/sections.py",
         "stages/pretrain/section.py", "stages/studies/section.py", "stages/studies/data.py")  # fmt: skip


def test_a_cell_depends_on_what_it_imports():
    deps = deps_of("stages/studies/dvc.yaml", "lowdata-cell")
    files = {file for file in imports_of("stages.studies.cell") if not file.startswith(APART)}
    assert "stages/studies/gang.py" in files
    assert {file for file in files if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)} == set()
