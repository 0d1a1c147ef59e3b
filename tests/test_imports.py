"""Who imports whom: no torch where there is no model, no package what stands above it, no stage what DVC does not know."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.core.closure import closure
from stages.methods import names

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


@pytest.mark.parametrize(
    "task", ["mini_e2e", *(pytest.param(task, marks=pytest.mark.slow) for task in ("mini_webnlg", "mini_xsum"))]
)
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


# Which package may import which; stages, and what reads params.yaml, stand above all of them. Nothing points up.
LAYERS = {
    "core": set(),
    "world": {"core"},
    "scoring": {"core"},
    "tasks": {"core", "scoring", "world"},
    "models": {"core"},
    "training": {"core", "models"},
    "decoding": {"core", "models"},
    "methods": {"core", "models", "training", "decoding"},
    "exchange": {"core", "models", "methods"},
    "run.py": {"core", "models", "training", "decoding", "methods"},
    "serving": {"core", "models", "decoding", "methods", "run.py"},
}
ABOVE = {
    "__init__.py", "params.py", "recipes.py", "resolve.py", "pretrain", "studies", "gates.py", "neighbours.py", "summary.py",
    "download.py", "linearize.py", "subsample.py", "train.py", "decode.py", "score.py", "card.py", "export.py", "import.py",
    "bank.py", "generate.py", "serve.py",
}  # fmt: skip


def imports_in(file):
    """The project's modules that a file imports, also within functions, each with its line."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: a relative import, which the closure does not follow"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (
            (node.lineno, name.split(".")) for name in names if name.split(".")[0] in ("stages", "bench", "tests")
        )


def part_of(module):
    """Of stages.models.load and the like: models; of a file beside the packages its name, such as run.py."""
    return module[1] if (ROOT / "stages" / module[1]).is_dir() else f"{module[1]}.py"


def test_no_package_imports_what_stands_above_it():
    wrong = []
    for file in sorted((ROOT / "stages").rglob("*.py")):
        own = file.relative_to(ROOT / "stages").parts[0]
        for line, module in imports_in(file):
            where = f"{file.relative_to(ROOT)}, line {line}: {'.'.join(module)}"
            if module[0] != "stages" or (own in LAYERS and part_of(module) not in LAYERS[own] | {own}):
                wrong.append(where)
    assert wrong == []


def test_nothing_imports_peft():
    """Its directories are written and read without it: PEFT is the reference of tests and benchmarks."""
    found = [
        str(file)
        for file in sorted((ROOT / "stages").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        for name in imported_names(node)
        if name.split(".")[0] == "peft"
    ]
    assert found == []


def imported_names(node):
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_the_layers_are_all_that_there_is():
    found = {
        path.name for path in (ROOT / "stages").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert found == LAYERS.keys() | ABOVE


# What checks params.yaml beside the run's own values: its sections for tasks, scoring, pretraining and studies. Of tasks, what
# a stage reads comes to it as data. The package's own file holds no code.
CHECKED = (
    "stages/serving/",
    "stages/tasks/",
    "stages/scoring/",
    "stages/world/",
    "stages/pretrain/",
    "stages/studies/",
    "stages/__init__.py",
)


@pytest.mark.parametrize("stage", ["train", "decode"])
def test_a_stage_depends_on_the_closure_of_its_imports(stage):
    """Else a change of it would leave `dvc repro` with nothing to do."""
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    own = [dep for dep in deps if dep.startswith("stages/")]
    assert all((ROOT / dep).exists() for dep in own)
    files = [str(file) for file in closure(f"stages.{stage}", *(f"stages.methods.{name}" for name in names()))]
    assert {file.split("/")[1] for file in files} >= LAYERS.keys() - {"tasks", "scoring", "world", "exchange"}
    uncovered = [file for file in files if not any(file == dep or file.startswith(f"{dep}/") for dep in own)]
    assert [file for file in uncovered if not file.startswith(CHECKED)] == []
    assert ast.unparse(ast.parse((ROOT / "stages/__init__.py").read_text()).body[1:]) == ""
