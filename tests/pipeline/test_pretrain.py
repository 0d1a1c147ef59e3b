"""The pretraining pipeline on a corpus of seconds: same bytes twice, and again after an interruption."""

import json
import os
import shutil
import subprocess
import sys
from statistics import mean

import numpy as np
import pytest
import torch
import yaml

from stages.models.load import load
from stages.pretrain import adapt, denoise, loop, span, train
from stages.training.checkpoint import Checkpoint
from tests.conftest import ROOT
from tests.pipeline.clone import call, copy

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
SMALL = {
    "pretrain": {
        "documents": 400,
        "copies_first": 20,
        "vocabulary": 500,
        "layers": 2,
        "width": 32,
        "heads": 4,
        "length": 64,
    },
    "denoise": {
        "layers": 2,
        "width": 32,
        "heads": 4,
        "positions": 64,
        "documents": 100,
        "step_tokens": 512,
    },
    "span": {
        "layers": 2,
        "width": 32,
        "heads": 4,
        "feed_forward": 64,
        "longest": 64,
        "documents": 150,
        "step_tokens": 512,
    },
    "adapt": {"longest": 64, "skipped": 150, "documents": 150, "step_tokens": 512},
}


def shrink(raw):
    for section, values in SMALL.items():
        raw[section] |= values


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which DVC has made the corpus and mini-gpt2."""
    directory = copy(ROOT, tmp_path_factory.mktemp("pretrain"), shrink)
    call(directory, "dvc", "--cd", "pretrain", "repro", "mini-gpt2")
    return directory


@pytest.fixture(scope="module")
def adapted(clone):
    """The clone, in which DVC has also made mini-t5 and, of it, mini-t5-lm."""
    call(clone, "dvc", "--cd", "pretrain", "repro", "mini-t5-lm")
    return clone


@pytest.fixture
def small(project, clone):
    """A project with the clone's parameters and what DVC has made there."""
    shutil.copy(clone / "params.yaml", project)
    shutil.copytree(clone / "pretrain/data", project / "pretrain/data")
    return project


def files_of(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def run(module):
    """A stage in a process of its own, as `dvc` starts it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", module.__name__], env=environment, check=True)


def test_gpt2_is_a_function_of_the_parameters(small, monkeypatch):
    check_made_again(train, small, monkeypatch)


@pytest.mark.slow
def test_bart_is_a_function_of_the_parameters(small, monkeypatch):
    run(denoise)
    check_made_again(denoise, small, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("module", [span, adapt], ids=["t5", "t5-lm"])
def test_t5_is_a_function_of_the_parameters(adapted, small, monkeypatch, module):
    check_made_again(module, small, monkeypatch)


def check_made_again(module, small, monkeypatch):
    """The second time the stage is interrupted, another process goes on, and the model is the same byte for byte."""
    out = small / module.OUT
    first = files_of(out)
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(first)
    shutil.rmtree(out)

    def interrupted(optimizers, index):
        if index == 5:
            raise KeyboardInterrupt
        real(optimizers, index)

    real = loop.Optimizers.step
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(loop.Optimizers, "step", interrupted)
    deterministic = torch.are_deterministic_algorithms_enabled()
    with pytest.raises(SystemExit, match="interrupted"):
        module.main()
    torch.use_deterministic_algorithms(deterministic)
    checkpoints = list((small / ".scratch").glob("*/checkpoint.safetensors"))
    assert len(checkpoints) == 1 and set(Checkpoint(checkpoints[0]).more()) == {"seconds"}
    assert not out.exists()

    run(module)
    assert files_of(out) == first
    assert not list((small / ".scratch").glob("*/checkpoint.safetensors"))


def test_tokens_take_two_bytes(clone):
    assert np.load(clone / "pretrain/data/corpus/train.npy").dtype == np.uint16


@pytest.mark.slow
def test_a_t5_is_pretrained_and_adapted(adapted):
    """An adapted model continues texts better, and says by how much."""
    metrics = json.loads((adapted / adapt.METRICS).read_text())
    assert set(metrics) == {"loss", "made", "before"} and set(metrics["loss"]) == set(metrics["before"])
    assert mean(metrics["loss"].values()) < mean(metrics["before"].values())
    lm = load(str(adapted / adapt.OUT), "mini-t5-lm", "main")
    assert lm.family == "encoder-decoder" and lm.source_ids(["the hill"], None)[0][-1] == lm.end


def test_the_root_knows_nothing_of_the_pretraining(clone):
    """Of the files made, git tracks the metrics and the lock; DVC in the root lists no stage and no output of them."""
    changed = {line[3:] for line in call(clone, "git", "status", "--porcelain").splitlines()}
    assert "pretrain/dvc.lock" in changed and "pretrain/metrics/pretrain.json" in changed
    assert all(path == "pretrain/dvc.lock" or path.startswith("pretrain/metrics/") for path in changed), changed
    stages = ["corpus", "mini-gpt2", "mini-bart", "mini-t5", "mini-t5-lm", "probes-gpt2", "probes-bart"]
    listed = call(clone, "dvc", "--cd", "pretrain", "stage", "list", "--name-only").split()
    assert listed == stages
    root = call(clone, "dvc", "stage", "list", "--all", "--name-only").split()
    assert "train" in root and not [name for name in root if name.rpartition(":")[2] in stages or "pretrain" in name]


def test_dvc_sees_what_a_model_was_made_of(clone):
    status = ("dvc", "--cd", "pretrain", "status", "corpus", "mini-gpt2")
    assert "up to date" in call(clone, *status)
    params = clone / "params.yaml"
    before = params.read_text()
    raw = yaml.safe_load(before)
    raw["pretrain"]["muon_lr"] = 0.02
    params.write_text(yaml.safe_dump(raw, sort_keys=False))
    found = json.loads(call(clone, *status, "--json"))
    params.write_text(before)
    assert list(found) == ["mini-gpt2"]
