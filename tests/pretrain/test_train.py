"""mini-gpt2's batches and loss, and how a pretraining ends."""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from stages import params
from stages.pretrain import attention, train
from stages.pretrain.finish import finish
from stages.pretrain.made import Made

ROOT = Path(__file__).parents[2]
CHOSEN = params.load(ROOT / "params.yaml").pretrain.model_copy(
    update={"width": 32, "layers": 2, "heads": 2, "positions": 48, "length": 16, "batch_size": 4, "vocabulary": 300}
)


def test_steps_read_every_token_once_at_all_positions():
    tokens = np.arange(100 * 64, dtype=np.uint16)
    starts = set()
    for index in range(100):
        ids, positions = train.batch(tokens, CHOSEN, index)
        assert ids.flatten().tolist() == list(range(64 * index, 64 * (index + 1)))
        assert torch.equal(positions - positions[:, :1], torch.arange(16).expand(4, 16))
        assert positions[::2, 0].tolist() == [0, 0]
        starts |= set(positions[1::2, 0].tolist())
    assert starts == set(range(33)), "up to the last that leaves room"
    assert torch.equal(train.batch(tokens, CHOSEN, 7)[1], train.batch(tokens, CHOSEN, 7)[1])


def test_the_loss_is_the_models_own():
    model = train.build(CHOSEN, 0).eval()
    ids, positions = train.batch(np.random.default_rng(0).integers(0, 300, 64), CHOSEN, 0)
    with torch.no_grad():
        logits = model(ids, position_ids=positions).logits
        wanted = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        assert abs(train.loss_of(model, ids, positions) - wanted) < 0.02
        attention.use(model)
        assert abs(train.loss_of(model, ids, positions) - wanted) < 0.02


def test_what_is_measured_is_what_is_saved(tokenizer, tmp_path):
    model = train.build(CHOSEN, 0)
    attention.use(model)
    ids = torch.arange(1, 17)[None]

    def evaluate(rounded):
        return {"all": train.loss_of(rounded, ids).item()}

    how = Made(1.0, 2, 3, 4, 1, "a processor", "0" * 64)
    finish(model, tokenizer, evaluate, how, tmp_path / "model", tmp_path / "metrics.json")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert json.loads((tmp_path / "model/config.json").read_text())["dtype"] == "float16"
    assert attention.NAME not in (tmp_path / "model/config.json").read_text()
    attention.use(saved)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"loss": evaluate(saved), "made": how.noted()}
