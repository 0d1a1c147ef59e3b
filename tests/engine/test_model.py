"""What cannot be loaded ends in one line; what can is frozen and knows its shape."""

import json
import shutil

import pytest
import torch
from transformers import GPT2Config, LlamaConfig

from stages.engine import model
from stages.errors import UserError


def test_the_embedded_model(project):
    lm = model.load("data/base/mini-gpt2", "mini-gpt2", "main")
    assert lm.shape == model.Shape(layers=6, kv_heads=8, head_dim=32) and lm.positions == 512
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    assert lm.separator == lm.end == lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_the_embedded_model_fits_into_git(request):
    files = (request.config.rootpath / "data/base/mini-gpt2").iterdir()
    assert sum(file.stat().st_size for file in files) <= 16 * 2**20


def test_shapes_of_the_families():
    assert model.shape_of(GPT2Config(n_layer=24, n_embd=1024, n_head=16)) == model.Shape(24, 16, 64)
    llama = LlamaConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=8, num_key_value_heads=2, head_dim=16)
    assert model.shape_of(llama) == model.Shape(2, 2, 16)


@pytest.mark.parametrize("case", ["no weights", "no model", "encoder-decoder", "broken weights"])
def test_other_directories(project, tmp_path, case):
    directory = tmp_path / "model"
    directory.mkdir()
    if case != "no model":
        for file in (project / "data/base/mini-gpt2").iterdir():
            if file.suffix == ".json":
                shutil.copy(file, directory)
    if case == "encoder-decoder":
        (directory / "config.json").write_text(json.dumps({"model_type": "bart"}))
    if case == "broken weights":
        (directory / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UserError) as error:
        model.load(str(directory), "other", "main")
    assert "\n" not in str(error.value) and ("other" in str(error.value) or str(directory) in str(error.value))


def test_no_network_for_a_hub_id(project, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="model nobody/nothing: no such directory, and not to be had from the Hugging Face hub"
    ):
        model.load("nobody/nothing", "nobody/nothing", "main")
