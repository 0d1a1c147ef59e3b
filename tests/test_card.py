"""The model card: what is recorded of a run is said, what is not is said to be not known, and nothing else."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from stages import card as module
from stages.card import Lock, card, commit, directory_md5
from stages.core.errors import UserError
from stages.methods.parts import saved
from stages.methods.prefix import Prefix
from stages.models.identity import base_model_id
from tests.conftest import config_of, tiny_llama


@pytest.fixture
def run(project, tokenizer):
    lm = tiny_llama(tokenizer)
    saved.save(project / "data/run/model", config_of(prefix_len=4), Prefix(lm, 4, None, [1]).state(), base_model_id(lm))
    return project / "data/run/model"


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def lock(project, run):
    """A lock file as DVC writes it after `dvc repro`."""
    (project / "metrics").mkdir()
    scores, predictions = project / "metrics/scores.json", project / "data/run/predictions.jsonl"
    scores.write_text('{"BLEU": 0.5, "METEOR": null}')
    predictions.write_text("{}")
    model = {"path": "data/run/model", "md5": directory_md5(run)}
    written = {"path": "data/run/predictions.jsonl", "md5": md5(predictions)}
    raw, linearized, sample = (
        {"path": path, "md5": f"{digit}.dir"}
        for digit, path in enumerate(("data/raw/mini_e2e", "data/linearized/mini_e2e", "data/run/train"))
    )
    sources = {"mini_e2e": {"seed": 1}, "xsum": {"root": None, "dataset": "EdinburghNLP/xsum"}}
    content = {"schema": "2.0", "stages": {
        "download": {"outs": [raw], "params": {"params.yaml": {"task": "mini_e2e", "sources": sources}}},
        "subsample": {"params": {"params.yaml": {"train_size": 50, "subset": 3, "dev_share": 0.3}}},
        "train": {"deps": [linearized, sample], "outs": [model], "params": {"params.yaml": {"seed": 101}}},
        "decode": {"deps": [model], "outs": [written]},
        "score": {"deps": [written], "outs": [{"path": "metrics/scores.json", "md5": md5(scores)}]},
    }}  # fmt: skip
    path = project / "dvc.lock"
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def test_what_the_lock_file_records_is_said(run, lock):
    text = card(run, lock=lock, license="cc-by-4.0", library="peft", base="someone/llama")
    config = json.loads((run / "config.json").read_text())
    for row in (
        "# prefix on mini_e2e, someone/llama", "| base model | someone/llama, revision main |",
        f"| fingerprint of its weights | {config['base_model_fingerprint']} |", "| method | prefix |", "| task | mini_e2e |",
        "| virtual tokens | 4 |", "| size | 384 numbers, 1,624 bytes |", "| dtype | float32 |",
        f"| sha256 of the run's prefix.safetensors | {config['sha256']} |", "| `data/raw/mini_e2e` | 0.dir |",
        "| `data/linearized/mini_e2e` | 1.dir |", "| `data/run/train` | 2.dir |", "| BLEU | 0.5 |", "| METEOR | none |",
        "By `dvc repro` (stages decode and score) on the test split.", "Of the run: cc-by-4.0. The base model and the data ",
        f"Written by the prefix-tuning pipeline, commit {commit()}.",
    ):  # fmt: skip
        assert f"{row}\n" in text or f"{row}" in text, row
    [settings] = (json.loads(part.split("```")[0]) for part in text.split("```json\n")[1:])
    assert (settings["seed"], settings["train_size"], settings["subset"]) == (101, 50, 3)
    assert settings["training"] == config["training"] and settings["options"] == config["options"]
    assert "not known" not in text


def test_the_hub_reads_the_front_matter(run, lock):
    data = ModelCard(card(run, lock=lock, license="mit", library="peft", base="someone/llama")).data
    assert (data.base_model, data.library_name, data.license) == ("someone/llama", "peft", "mit")
    assert data.tags == ["prefix-tuning-pipeline", "prefix"] and data.datasets is None
    config = json.loads((run / "config.json").read_text()) | {"task": "xsum"}
    (run / "config.json").write_text(json.dumps(config))
    content = yaml.safe_load(lock.read_text())
    content["stages"]["train"]["outs"][0]["md5"] = directory_md5(run)
    lock.write_text(json.dumps(content))
    assert ModelCard(card(run, lock=lock)).data.datasets == ["EdinburghNLP/xsum"]


@pytest.mark.parametrize("base", ["mini-gpt2", "data/base/mini-gpt2", "/models/gpt2-medium", "model.gguf", "minilm"])
def test_a_model_that_is_not_on_the_hub_is_not_linked(run, lock, base):
    text = card(run, lock=lock, base=base)
    assert ModelCard(text).data.base_model is None and f"| base model | {base} |\n" in text


def test_what_is_not_known_is_said_to_be(run, project):
    text = card(run, lock=project / "dvc.lock")
    for line in (
        "Checksums of the data: not known.",
        "Scores: not known.",
        "Of the run: not known. The base model and ",
    ):
        assert f"\n{line}" in text
    assert ModelCard(text).data.license == "unknown" and '"seed"' not in text


def test_a_lock_file_of_another_run_says_nothing(run, lock, project):
    shutil.copytree(run, project / "other")
    config = json.loads((project / "other/config.json").read_text()) | {"precision": "fp32"}
    (project / "other/config.json").write_text(json.dumps(config))
    assert Lock.of(run, lock) is not None and Lock.of(project / "other", lock) is None
    text = card(project / "other", lock=lock)
    assert "Checksums of the data: not known." in text and "Scores: not known." in text


def test_a_copy_of_the_run_is_the_run(run, lock, project):
    shutil.copytree(run, project / "copy")
    assert card(project / "copy", lock=lock) == card(run, lock=lock)


@pytest.mark.parametrize("broken", ["scores", "predictions", "model"])
def test_scores_of_another_run_are_not_shown(run, lock, project, broken):
    """The chain from the run to its scores must be whole."""
    content = yaml.safe_load(lock.read_text())
    if broken == "scores":
        (project / "metrics/scores.json").write_text('{"BLEU": 0.9}')
    if broken == "predictions":
        content["stages"]["score"]["deps"][0]["md5"] = "0"
    if broken == "model":
        content["stages"]["decode"]["deps"][0]["md5"] = "0"
    lock.write_text(json.dumps(content))
    text = card(run, lock=lock)
    assert "Scores: not known." in text and "| `data/run/train` | 2.dir |" in text


def test_scores_that_are_given_are_said_to_be_given(run, lock, project):
    given = project / "mine.json"
    given.write_text('{"BLEU": 0.9}')
    text = card(run, lock=lock, metrics=given)
    assert f"As {given} gives them. Nothing that is recorded shows that they are of this run." in text
    assert "| BLEU | 0.9 |" in text and "dvc repro" not in text


def test_scores_that_are_none(run, project):
    for text, message in (("[]", "not a JSON object of scores by name"), ("{", "not JSON")):
        (project / "mine.json").write_text(text)
        with pytest.raises(UserError, match=message):
            card(run, metrics=project / "mine.json")
    with pytest.raises(UserError, match="cannot read nowhere"):
        card(run, metrics=Path("nowhere"))


@pytest.mark.parametrize("text", ["[", "stages: 7", "{}", "stages: {train: {outs: [7]}}"])
def test_a_lock_file_that_is_none(run, lock, text):
    lock.write_text(text)
    with pytest.raises(UserError, match=r"^.*dvc\.lock is no lock file of DVC \(\w+\)$"):
        card(run, lock=lock)


def test_the_md5_of_a_directory_is_dvcs(project, run):
    """By DVC itself, in a repository of its own."""
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "add", "-q", "data/run/model"]):
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    [out] = yaml.safe_load((project / "data/run/model.dvc").read_text())["outs"]
    assert out["md5"] == directory_md5(run)


def test_outside_git_the_commit_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "not known"


def test_a_commit_with_changes_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/a.py").touch()
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert len(commit()) == 40
    (tmp_path / "stages/a.py").write_text("A = 1\n")
    assert commit().endswith(", with changes that are not committed") and len(commit()) == 40 + 37
