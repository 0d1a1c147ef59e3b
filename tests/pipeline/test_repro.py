"""The pipeline as a user runs it: dvc in a temporary clone, on a world that takes a minute."""

import json
import re
import shutil
import textwrap

import pytest
import yaml

from stages.studies.grid import merged
from tests.pipeline.clone import call, commit, copy, restore, small_run, stages_run

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def clone(tmp_path_factory, request):
    """In a path with a space, with a world and a training made small."""
    directory = tmp_path_factory.mktemp("a clone") / "of the project"

    copy(request.config.rootpath, directory, small_run)
    call(directory, "dvc", "repro")
    commit(directory, "run")
    return directory


def test_a_run_ends_with_official_scores(clone):
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert list(scores) == ["BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr", "name_exact"]
    assert all(isinstance(value, float) for value in scores.values())
    rows = [json.loads(line) for line in (clone / "data/run/predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 8 == len({row["source"] for row in rows}) and all(row["references"] for row in rows)
    assert (clone / "metrics/train.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((clone / "data/run/model/config.json").read_text())
    assert config["training"]["steps"] == 4 and config["prefix_len"] == 40
    assert call(clone, "git", "status", "--porcelain") == ""


def test_nothing_to_do_runs_nothing(clone):
    assert stages_run(call(clone, "dvc", "repro")) == []


@pytest.mark.slow
def test_forced_again_gives_the_same_bytes(clone):
    call(clone, "dvc", "repro", "--force")
    assert call(clone, "git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_one_changed_parameter_runs_what_depends_on_it_and_is_shown(clone):
    output = call(clone, "dvc", "exp", "run", "-S", "prefix_len=7")
    assert stages_run(output) == ["train", "decode", "score"]
    assert json.loads((clone / "data/run/model/config.json").read_text())["prefix_len"] == 7
    params = json.loads(call(clone, "dvc", "params", "diff", "--json"))
    assert params == {"params.yaml": {"prefix_len": {"old": "recipe", "new": 7}}}
    metrics = json.loads(call(clone, "dvc", "metrics", "diff", "--json"))
    assert metrics["metrics/train.json"]["parameters_stored"]["diff"] == (7 - 40) * 6 * 2 * 256
    restore(clone)
    assert stages_run(call(clone, "dvc", "repro")) == []


@pytest.mark.slow
def test_another_task_and_method(clone):
    """From the command line alone: seen and unseen apart, on a test set of a few entries."""
    small = [f"sources.mini_webnlg.{split}={count}" for split, count in (("train", 30), ("dev", 8), ("test", 8))]
    changes = [word for change in ("task=mini_webnlg", "method=adapter", *small) for word in ("-S", change)]
    assert stages_run(call(clone, "dvc", "exp", "run", *changes))[:2] == ["download", "linearize"]
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert {"BLEU", "BLEU_seen", "BLEU_unseen", "METEOR_unseen", "TER_seen"} <= set(
        scores
    ) and "name_exact" not in scores
    restore(clone)


@pytest.mark.slow
def test_a_model_of_the_other_family(clone):
    small = [f"sources.mini_xsum.{split}={count}" for split, count in (("train", 20), ("dev", 8), ("test", 8))]
    changes = [word for change in ("task=mini_xsum", "model=mini-bart", *small) for word in ("-S", change)]
    call(clone, "dvc", "exp", "run", *changes)
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert {"rouge1", "rouge2", "rougeL", "rouge1_sport"} <= set(scores)
    assert set(json.loads((clone / "data/run/model/config.json").read_text())["tensors"]) == {
        "encoder",
        "decoder",
        "cross",
    }
    output = call(clone, "dvc", "exp", "run", *changes, "-S", "method=infix", status=255)
    assert "error: params.yaml: method infix is not for encoder-decoder models such as mini-bart; adapter, " in output
    restore(clone)


@pytest.mark.slow
def test_the_frozen_model_alone(clone):
    assert stages_run(call(clone, "dvc", "exp", "run", "-S", "method=none")) == ["train", "decode", "score"]
    counts = json.loads((clone / "metrics/train.json").read_text())
    assert (counts["loss"], counts["parameters_trained"], counts["parameters_stored"]) == (None, 0, 0)
    restore(clone)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["prefix_len=0", "train_size=-1", "decode.beam=0", "train.lr=-1"])
def test_an_impossible_value_is_one_line_of_the_stage(clone, change):
    output = call(clone, "dvc", "exp", "run", "-S", change, status=255)
    assert f"error: params.yaml: {change.split('=')[0]}: " in output
    restore(clone)


@pytest.mark.slow
def test_an_unknown_key_is_refused(clone):
    assert "prefix_length" in call(clone, "dvc", "exp", "run", "-S", "prefix_length=7", status=255)


@pytest.mark.slow
def test_the_code_of_another_task_trains_nothing(clone):
    """It makes the same data again, and the same scores."""
    file = clone / "stages/tasks/webnlg.py"
    file.write_text(file.read_text() + "\nMORE = 1\n")
    assert stages_run(call(clone, "dvc", "repro")) == ["download", "linearize", "score"]
    assert call(clone, "git", "status", "--porcelain").split() == ["M", "dvc.lock", "M", "stages/tasks/webnlg.py"]
    restore(clone)


@pytest.mark.slow
def test_one_file_is_a_task_and_one_is_a_method(clone):
    """The examples of the docs, dropped into the tree with their sections of params.yaml; nothing else is edited."""
    for example, package in (("toy_task", "tasks"), ("toy_method", "methods")):
        shutil.copy(clone / f"docs/examples/{example}.py", clone / f"stages/{package}/{example}.py")
    raw = yaml.safe_load((clone / "params.yaml").read_text())
    for document in ("tasks", "methods"):
        for block in re.findall(r"```yaml\n(.*?)```", (clone / f"docs/{document}.md").read_text(), flags=re.DOTALL):
            raw = merged(raw, yaml.safe_load(textwrap.dedent(block)))
    raw["sources"]["toy_task"] |= {"train": 20, "dev": 6, "test": 6}
    (clone / "params.yaml").write_text(
        yaml.safe_dump(raw | {"task": "toy_task", "method": "toy_method"}, sort_keys=False)
    )
    assert stages_run(call(clone, "dvc", "repro")) == ["download", "linearize", "subsample", "train", "decode", "score"]
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert list(scores)[:5] == ["BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"]
    config = json.loads((clone / "data/run/model/config.json").read_text())
    assert (config["method"], config["options"]) == ("toy_method", {"toy_method": {"init_std": 1.0}})
    assert config["tensors"] == {"decoder": {"dtype": "float32", "shape": [1, 2, 4, 40, 64]}}
    call(clone, "git", "clean", "-fdq", "stages")
    restore(clone)
