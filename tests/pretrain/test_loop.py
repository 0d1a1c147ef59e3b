"""The loop of pretraining: its schedule, which optimizer moves what, and a checkpoint for each training of its own."""

from pathlib import Path

import pytest
import torch

from stages import params
from stages.pretrain import loop, train

ROOT = Path(__file__).parents[2]
CHOSEN = params.load(ROOT / "params.yaml").pretrain.model_copy(update={"width": 32, "layers": 2, "heads": 2})


def test_muon_moves_the_matrices_of_the_blocks():
    model = train.build(CHOSEN, 0)
    muon, adamw = loop.Optimizers(model, ".h.", 0.01, 0.003, 100).all
    names = {id(p): name for name, p in model.named_parameters()}
    moved = [{names[id(p)] for p in optimizer.param_groups[0]["params"]} for optimizer in (muon, adamw)]
    assert moved[0] == {name for name in names.values() if ".h." in name and "ln_" not in name and "weight" in name}
    assert "transformer.wte.weight" in moved[1] and moved[0] | moved[1] == set(names.values())


def test_the_rate_rises_stays_and_falls():
    optimizers = loop.Optimizers(train.build(CHOSEN, 0), ".h.", 0.01, 0.003, 1000)
    rates = []
    for index in range(1000):
        optimizers.step(index)
        rates.append(optimizers.all[0].param_groups[0]["lr"])
        assert optimizers.all[1].param_groups[0]["lr"] == pytest.approx(0.3 * rates[-1])
    assert rates[0] == pytest.approx(1e-4) and rates[30] == pytest.approx(5e-3) and rates[60] == rates[399] == 0.01
    assert rates[60:] == sorted(rates[60:], reverse=True) and 3e-4 < rates[-1] < 4e-4


def test_another_training_finds_another_checkpoint(tmp_path):
    corpus = tmp_path / "train.npy"
    corpus.write_bytes(b"one")

    def path(chosen, *modules):
        with loop.checkpoint(chosen, corpus, *modules) as checkpoint:
            return checkpoint.path

    paths = [path(CHOSEN, "train"), path(CHOSEN, "train")]
    paths += [path(CHOSEN.model_copy(update={"seed": 9}), "train"), path(CHOSEN, "denoise", "noise", "rows")]
    corpus.write_bytes(b"two")
    paths += [path(CHOSEN, "train")]
    assert paths[0] == paths[1] and len(set(paths)) == 4


def test_the_loop_minimises_and_leaves_a_checkpoint_to_who_keeps_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    model = train.build(CHOSEN, 0)
    optimizers = loop.Optimizers(model, ".h.", 0.01, 0.003, 60)
    ids = torch.arange(1, 33).view(2, 16)
    before = train.loss_of(model, ids).item()
    checkpoint = loop.Checkpoint(tmp_path / "work/checkpoint.safetensors")
    loop.pretrain(model, lambda _: train.loss_of(model, ids), optimizers, checkpoint)
    assert train.loss_of(model, ids).item() < 0.7 * before and checkpoint.path.exists()
