"""The folder is the list of tasks: a file dropped into it is found, and what is wrong with one is one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages import tasks
from stages.core.errors import UserError
from stages.core.registry import definitions

ROOT = Path(__file__).parents[2]
TOY = ROOT / "docs/examples/toy_task.py"


@pytest.fixture
def tree(tmp_path):
    """A copy of the stages and of params.yaml."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/base").symlink_to(ROOT / "data/base")
    return tmp_path


def run(tree, *command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True)


def section_of_the_docs():
    """What docs/tasks.md says is to be added to `sources` of params.yaml."""
    [shown] = re.findall(r"```yaml\nsources:\n(  toy_task:\n.*?)```", (ROOT / "docs/tasks.md").read_text(), re.DOTALL)
    return shown


def test_the_example_of_the_docs_is_one_file_and_one_section(tree):
    shutil.copy(TOY, tree / "stages/tasks")
    text = (tree / "params.yaml").read_text()
    text = text.replace("\nsources:\n", f"\nsources:\n{section_of_the_docs()}").replace(
        "task: mini_e2e ", "task: toy_task "
    )
    (tree / "params.yaml").write_text(text)
    done = [run(tree, "-m", f"stages.{stage}") for stage in ("download", "linearize", "subsample")]
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
    assert done[1].stdout.splitlines() == [
        "toy_task train: 600 targets of 300 sources",
        "toy_task dev: 100 targets of 50 sources",
        "toy_task test: 200 targets of 100 sources",
    ]
    lines = [(tree / f"data/linearized/toy_task/{split}.jsonl").read_text() for split in ("train", "dev", "test")]
    records = [json.loads(line) for text in lines for line in text.splitlines()]
    assert len({record["source"] for record in records}) == 450
    thing, colour, place = re.fullmatch(
        r"thing : (\w+) \| colour : (\w+) \| place : (\w+)", records[0]["source"]
    ).groups()
    assert records[0]["targets"] == [
        f"The {thing} in the {place} is {colour}.",
        f"There is a {colour} {thing} in the {place}.",
    ]
    said = "from stages import params; p = params.load(); print(p.decoding, p.prefix_length, p.recipe[0])"
    resolved = run(tree, "-c", said).stdout
    assert resolved.startswith("Decoding(source_tokens=None, target_tokens=None, beam=5, length_penalty=1.0"), "e2e's"
    assert resolved.endswith(" 40 recipes.embedded.mini-gpt2.prefix\n")
    again = run(tree, "-m", "stages.download")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_what_is_wrong_with_a_task_file_is_one_line(tree):
    toy = tree / "stages/tasks/toy_task.py"
    shutil.copy(TOY, toy)
    done = run(tree, "-m", "stages.download")
    assert (done.returncode, done.stderr) == (1, "error: params.yaml: key sources.toy_task is missing\n")
    shutil.copy(TOY, toy.with_name("twin.py"))
    done = run(tree, "-m", "stages.download")
    said = f"error: TASKS has toy_task twice: in {toy} and in {toy.with_name('twin.py')}\n"
    assert (done.returncode, done.stderr) == (1, said)
    toy.with_name("twin.py").write_text("")
    done = run(tree, "-m", "stages.download")
    said = f"error: {toy.with_name('twin.py')} defines no TASKS: a dictionary by name\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_metric_set_is_one_file_too(tree):
    toy = 'from stages.scoring.xsum import XSUM\n\nMETRIC_SETS = {"toy": XSUM}\n'
    (tree / "stages/scoring/toy.py").write_text(toy)
    (tree / "mine.txt").write_text("a red hat\n")
    done = run(tree, "-m", "stages.scoring", "--task", "toy", "--hyp", "mine.txt", "--refs", "mine.txt")
    assert json.loads(done.stdout) == {"metrics": {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}}


def test_an_unknown_task_is_told_the_known_ones():
    known = ", ".join(map(repr, tasks.names()[:-1]))
    with pytest.raises(UserError) as error:
        tasks.task_of("mini_e3e")
    assert str(error.value) == f"params.yaml: task: Input should be {known} or 'xsum', not 'mini_e3e'"
    assert tasks.names() == sorted(tasks.names()) and len(tasks.names()) == 27


@pytest.mark.parametrize(("name", "chain"), [
    ("e2e", ("e2e",)), ("mini_e2e", ("mini_e2e", "e2e")), ("rte", ("rte", "superglue")),
    ("mini_rte", ("mini_rte", "rte", "superglue")), ("mini_conll2003", ("mini_conll2003", "conll2003", "ner")),
    ("qqp_to_mrpc", ("qqp_to_mrpc", "superglue")), ("squad_to_mrqa", ("squad_to_mrqa", "qa")),
])  # fmt: skip
def test_a_task_takes_the_recipes_of_others(name, chain):
    assert tasks.recipe_names(name) == chain


def test_a_circle_of_recipes_is_refused(tree):
    toy = TOY.read_text().replace('recipe="e2e"', 'recipe="toy_task"')
    (tree / "stages/tasks/toy_task.py").write_text(toy)
    done = run(tree, "-c", "from stages import tasks; tasks.recipe_names('toy_task')")
    assert done.stderr.endswith(
        "UserError: task toy_task takes the recipes of toy_task, which takes those of toy_task\n"
    )


def test_tasks_of_one_section_share_its_type(tree):
    toy = TOY.read_text().replace('recipe="e2e"', 'section="e2e"')
    (tree / "stages/tasks/toy_task.py").write_text(toy)
    done = run(tree, "-m", "stages.download")
    said = "error: sources.e2e is read as Files, but task toy_task as ToySource: tasks of one section share its type\n"
    assert (done.returncode, done.stderr) == (1, said)


SOURCES = yaml.safe_load((ROOT / "params.yaml").read_text())["sources"]


def test_sources_are_typed():
    found = tasks.check_sources(SOURCES)
    assert set(found) == set(SOURCES) and tasks.source_of("wsc", found) is found["superglue"] is tasks.source_of(
        "cb", found
    )
    assert tasks.source_of("mrpc_to_qqp", found).dataset == "nyu-mll/glue" and found["mini_e2e"].references == 8


@pytest.mark.parametrize(("change", "said"), [
    (lambda raw: raw.pop("superglue"), "key sources.superglue is missing"),
    (lambda raw: raw.update(boolq={}), "unknown key sources.boolq"),
    (lambda raw: raw["glue"].update(config="qqp"), "unknown key sources.glue.config"),
    (lambda raw: raw["mini_e2e"].pop("seed"), "key sources.mini_e2e.seed is missing"),
    (lambda raw: raw["mini_e2e"].update(seed=-1), "sources.mini_e2e.seed: Input should be greater than or equal to 0, not -1"),
])  # fmt: skip
def test_a_wrong_source_is_named(change, said):
    raw = {name: dict(section) for name, section in SOURCES.items()}
    change(raw)
    with pytest.raises(UserError) as error:
        tasks.check_sources(raw)
    assert str(error.value) == f"params.yaml: {said}"


def test_subpackages_hold_no_tasks():
    assert "stages.tasks.common.generated" in sys.modules, "which has no TASKS"
    assert set(definitions(tasks, "TASKS", everywhere=True)) == set(tasks.names())
