"""The primed heads copy before any training; the models are built as params.yaml has them."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from stages import params
from stages.pretrain import denoise, train

ROOT = Path(__file__).parents[2]
CHOSEN = params.load(ROOT / "params.yaml")
LENGTH = 50


@pytest.mark.parametrize("seed", [1, 2])
def test_gpt2_copies_what_came_before(seed):
    model = train.build(CHOSEN.pretrain.model_copy(update={"seed": seed}), 0).eval()
    ids = torch.randint(300, 2000, (8, LENGTH), generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    with torch.no_grad():
        found = model(ids).logits.argmax(-1)
    assert (found[:, LENGTH:-1] == ids[:, LENGTH + 1 :]).float().mean() > 0.6


@pytest.mark.parametrize("seed", [1, 2])
def test_bart_copies_from_the_encoder(seed):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-bart")
    model = denoise.build(CHOSEN.denoise.model_copy(update={"seed": seed}), tokenizer).eval()
    ids = torch.randint(300, 2000, (8, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(input_ids=ids, decoder_input_ids=ids[:, :-1]).logits.argmax(-1)
    assert (found == ids[:, 1:]).float().mean() > 0.6
