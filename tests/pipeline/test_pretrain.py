"""The pretraining pipeline on a corpus of seconds: same bytes twice, and again after an interruption."""

import json
import os
import subprocess
import sys
from statistics import mean

import numpy as np
import pytest
import torch
import yaml

from stages.models.load import load
from stages.pretrain import adapt, denoise, loop, span
from stages.pretrain import train as pretraining
from stages.training.checkpoint import Checkpoint

pytestmark = pytest.mark.pipeline
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


@pytest.fixture
def small(project, request):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    for section, values in SMALL.items():
        raw[section] |= values
    (project / "params.yaml").write_text(yaml.safe_dump(raw))

    def call(stage):
        environment = os.environ | {"PYTHONPATH": str(request.config.rootpath)}
        subprocess.run([sys.executable, "-m", f"stages.pretrain.{stage}"], env=environment, check=True)

    call("corpus")
    return project, call


@pytest.mark.parametrize("module", [pretraining, denoise, span, adapt], ids=["gpt2", "bart", "t5", "t5-lm"])
def test_the_model_is_a_function_of_the_parameters(small, monkeypatch, module):
    project, call = small
    out, stage = project / module.OUT, module.__name__.rpartition(".")[2]
    if module is adapt:
        call("span")
    assert np.load(project / "pretrain/data/corpus/train.npy").dtype == np.uint16

    call(stage)
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(first)

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
    checkpoints = list((project / ".scratch").glob("*/checkpoint.safetensors"))
    assert len(checkpoints) == 1 and set(Checkpoint(checkpoints[0]).more()) == {"seconds"}

    call(stage)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    assert not list((project / ".scratch").glob("*/checkpoint.safetensors"))


def test_a_t5_is_pretrained_and_adapted(small):
    """An adapted model continues texts better, and says by how much."""
    project, call = small
    for stage in ("span", "adapt"):
        call(stage)
    metrics = json.loads((project / "pretrain/metrics/adapt.json").read_text())
    assert set(metrics) == {"loss", "made", "before"} and set(metrics["loss"]) == set(metrics["before"])
    assert mean(metrics["loss"].values()) < mean(metrics["before"].values())
    lm = load(str(project / "pretrain/data/mini-t5-lm"), "mini-t5-lm", "main")
    assert lm.family == "encoder-decoder" and lm.source_ids(["the hill"], None)[0][-1] == lm.end
