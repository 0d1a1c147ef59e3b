"""APT, P-tuning v2 and fine-tuning of an encoder through the pipeline, on the generated classification and tagging tasks."""

import csv
import json

import pytest

from tests.pipeline.clone import call, commit, copy, restore, stages_run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, request):
    directory = tmp_path_factory.mktemp("encoders") / "clone"

    def small(raw):
        raw |= {"task": "mini_rte", "model": "minilm", "method": "apt", "prefix_len": 4, "threads": 1}
        for task in ("mini_rte", "mini_conll2003"):
            raw["sources"][task] |= {"train": 24, "dev": 8, "test": 12}
        raw["train"] |= {"steps": 3, "batch_size": 4}

    copy(request.config.rootpath, directory, small)
    call(directory, "dvc", "repro")
    commit(directory, "run")
    return directory


def test_a_record_is_answered_by_a_label(clone):
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert list(scores) == ["accuracy"] and 0 <= scores["accuracy"] <= 1
    rows = [json.loads(line) for line in (clone / "data/run/predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 12 and {row["hypothesis"] for row in rows} <= {"entailment", "not_entailment"}
    config = json.loads((clone / "data/run/model/config.json").read_text())
    assert config["labels"] == ["entailment", "not_entailment"] and config["tensors"]["gate.mean.token"] == {
        "dtype": "float32",
        "shape": [1, 6, 384, 4],
    }


def test_forced_again_gives_the_same_bytes(clone):
    call(clone, "dvc", "repro", "--force")
    assert call(clone, "git", "status", "--porcelain") == ""


def test_the_gates_are_shown(clone):
    assert "layer 5: mean" in call(clone, "python", "-m", "stages.gates")
    rows = list(csv.DictReader((clone / "metrics/gates.csv").read_text().splitlines()))
    assert len(rows) == 6 * 4 and all(float(row["mean"]) > 0 for row in rows)
    assert (clone / "metrics/gates.png").read_bytes().startswith(b"\x89PNG")
    call(clone, "git", "clean", "-fdq", "metrics")


def test_another_method_is_one_changed_parameter(clone):
    assert stages_run(call(clone, "dvc", "exp", "run", "-S", "method=finetune"))[:2] == ["train", "decode"]
    said = call(clone, "python", "-m", "stages.gates", status=1)
    assert "error: data/run/model is a run without gates" in said
    restore(clone)


def test_words_are_tagged(clone):
    call(clone, "dvc", "exp", "run", "-S", "task=mini_conll2003", "-S", "method=prefix")
    scores = json.loads((clone / "metrics/scores.json").read_text())
    assert list(scores) == ["precision", "recall", "F1"]
    rows = [json.loads(line) for line in (clone / "data/run/predictions.jsonl").read_text().splitlines()]
    assert all(len(row["hypothesis"].split(" ")) == len(row["source"].split(" ")) for row in rows)
    restore(clone)
