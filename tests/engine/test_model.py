"""What cannot be loaded ends in one line; what can is frozen and knows its shape."""

import json
import shutil

import pytest
import torch
from transformers import GPT2Config, LlamaConfig

from stages.engine.decoder_only import shape_of
from stages.engine.load import load
from stages.engine.model import Shape
from stages.errors import UserError


def test_the_embedded_model(project):
    lm = load("data/base/mini-gpt2", "mini-gpt2", "main")
    assert lm.shapes == {"decoder": Shape(layers=6, kv_heads=8, head_dim=32)} and lm.positions == 512
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    assert lm.separator == lm.end == lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_the_embedded_encoder_decoder(project):
    lm = load("data/base/mini-bart", "mini-bart", "main")
    layers = Shape(layers=3, kv_heads=8, head_dim=32)
    assert lm.shapes == {"encoder": layers, "decoder": layers, "cross": layers} and lm.positions == 512
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    [ids] = lm.source_ids(["The Oak."], None)
    assert (ids[0], ids[-1]) == (lm.tokenizer.bos_token_id, lm.end) and lm.start == lm.end
    assert [len(ids) for ids in lm.source_ids(["a " * 600, "a"], 512)] == [512, 3]


def test_a_text_is_cut_or_refused(any_lm):
    assert any_lm.source_ids(["The Oak is old and near the river."], None)[0] != any_lm.source_ids(["The Oak"], None)[0]
    assert len(any_lm.source_ids(["The Oak is old and near the river."], 5)[0]) == 5
    cut = any_lm.target_ids(["The Oak is old and near the river."], 5)[0]
    assert cut[-1] == any_lm.end and len(cut) <= 6
    if any_lm.positions:
        any_lm.check_room(any_lm.positions - 30, 10, 5)
        with pytest.raises(UserError, match=r"a source of 300 and a target of 10 tokens.* set cut\.source_tokens"):
            any_lm.check_room(300, 10, 5)


@pytest.mark.parametrize("name", ["mini-gpt2", "mini-bart"])
def test_the_embedded_models_fit_into_git(request, name):
    files = (request.config.rootpath / "data/base" / name).iterdir()
    assert sum(file.stat().st_size for file in files) <= 16 * 2**20


def test_shapes_of_the_families():
    assert shape_of(GPT2Config(n_layer=24, n_embd=1024, n_head=16)) == Shape(24, 16, 64)
    llama = LlamaConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=8, num_key_value_heads=2, head_dim=16)
    assert shape_of(llama) == Shape(2, 2, 16)


@pytest.mark.parametrize("case", ["no weights", "no model", "no weights of bart", "broken weights"])
def test_other_directories(project, tmp_path, case):
    directory = tmp_path / "model"
    directory.mkdir()
    if case != "no model":
        for file in (project / "data/base/mini-gpt2").iterdir():
            if file.suffix == ".json":
                shutil.copy(file, directory)
    if case == "no weights of bart":
        (directory / "config.json").write_text(json.dumps({"model_type": "bart"}))
    if case == "broken weights":
        (directory / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UserError) as error:
        load(str(directory), "other", "main")
    assert "\n" not in str(error.value) and ("other" in str(error.value) or str(directory) in str(error.value))


def test_no_network_for_a_hub_id(project, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="model nobody/nothing: no such directory, and not to be had from the Hugging Face hub"
    ):
        load("nobody/nothing", "nobody/nothing", "main")
