"""GGUF files as models: a small Llama against gguf's own reader, its tokenizer, and the cache."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from transformers import LlamaConfig, LlamaForCausalLM

from stages.models import gguf_read
from stages.models.load import load
from stages.models.named import path_of
from tests.conftest import ROOT, config_of
from tests.models.byte_level import ByteLevel
from tests.models.tiny_gguf import HEADS, KV_HEADS, LAYERS, TOKENS, WIDTH, pieces_of, written

NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
TEXT = "The Mill has  24 rooms\n\n7 of them don't , naïve £ 30"


pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("kind", ["F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_weights_and_logits_equal_ggufs_own_reader(tmp_path, tokenizer, kind):
    """llama.cpp interleaves the two halves of each head of queries and keys; transformers' models have them apart."""
    path = written(tmp_path / "tiny.gguf", tokenizer, kind)
    lm = load(path_of(str(path)), "tiny", "main")
    config = LlamaConfig(
        vocab_size=TOKENS, hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    state = {}
    for tensor in GGUFReader(path).tensors:
        value = dequantize(tensor.data, tensor.tensor_type)
        *_, layer, last = ["", *tensor.name.removesuffix(".weight").split(".")]
        heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(last)
        if heads:
            value = value.reshape(heads, -1, 2, WIDTH).swapaxes(1, 2).reshape(value.shape)
        name = {"token_embd": "embed_tokens", "output_norm": "norm"}.get(last) or f"layers.{layer}.{NAMES[last]}"
        state[f"model.{name}.weight"] = torch.from_numpy(np.copy(value))
    assert theirs.load_state_dict(state, strict=False).missing_keys == ["lm_head.weight"]
    ours = dict(lm.model.named_parameters())
    assert set(ours) == set(state) and all(ours[name].equal(value) for name, value in state.items())
    ids = torch.tensor([[5, 300, 17, 399, 42]])
    with torch.no_grad():
        torch.testing.assert_close(lm.model(input_ids=ids).logits, theirs(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["gpt-2", "smollm"])
def test_the_tokenizer_splits_as_the_file_says(tmp_path, tokenizer, rule):
    """`smollm` splits numbers into digits, so that spaces before a number stay together."""
    lm = load(path_of(str(written(tmp_path / "tiny.gguf", tokenizer, rule=rule))), "tiny", "main")
    expected = ByteLevel(*pieces_of(tokenizer), ["<|endoftext|>"], rule)(TEXT)
    assert lm.tokenizer(TEXT)["input_ids"] == expected and lm.tokenizer.decode(expected) == TEXT
    other = ByteLevel(*pieces_of(tokenizer), ["<|endoftext|>"], {"gpt-2": "smollm", "smollm": "gpt-2"}[rule])(TEXT)
    assert other != expected, "the text tells the rules apart"


def test_the_cache(file, cache, monkeypatch, capsys):
    """Under the file's sum, whatever its name; made once, and whole."""
    found = Path(path_of(str(file)))
    sum_of_file = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert found == cache / f"{sum_of_file}-1"
    assert sorted(path.name for path in cache.iterdir()) == [found.name, f"{found.name}.lock"]
    assert f"tiny.gguf: de-quantised once, 0.00 GB, into {found}\n" in capsys.readouterr().err
    monkeypatch.setattr(gguf_read, "read", lambda *given: pytest.fail("de-quantised again"))
    before = {path.name: path.stat().st_mtime_ns for path in found.iterdir()}
    copy = file.rename(file.with_name("copy.GGUF"))
    assert path_of(str(copy)) == str(found) and capsys.readouterr().err == ""
    assert {path.name: path.stat().st_mtime_ns for path in found.iterdir()} == before


def test_a_link_to_a_file_of_another_name(file):
    """As in the cache of the Hugging Face hub."""
    file.rename(file.with_name("blob"))
    file.symlink_to("blob")
    assert Path(path_of(str(file))).is_dir()


def test_files_beside_it_are_not_read(file, tokenizer, monkeypatch, tmp_path):
    """transformers prefers a tokenizer.json beside the file, and a file of the same name in the working directory."""
    alone = load(path_of(str(file)), "tiny", "main")
    (tmp_path / "beside").mkdir()
    beside = written(tmp_path / "beside/tiny.gguf", tokenizer, "F16")
    (beside.parent / "tokenizer.json").write_text("{}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tiny.gguf").write_bytes(b"no GGUF file")
    monkeypatch.chdir(elsewhere)
    found = load(path_of(str(beside)), "tiny", "main")
    assert found.tokenizer(TEXT)["input_ids"] == alone.tokenizer(TEXT)["input_ids"]


def test_another_file_under_the_same_name(file, tokenizer):
    first = path_of(str(file))
    assert path_of(str(written(file, tokenizer, "F16"))) != first


def test_a_run_takes_the_published_recipe(file):
    config = config_of("prefix", str(file), "e2e")
    assert (config.model, config.prefix_len, config.training.lr) == (str(file), 5, 8e-5)


@pytest.mark.slow
def test_two_processes_make_it_once(file):
    code = f"from stages.models.named import path_of; print(path_of({str(file)!r}))"
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert said[0][0] == said[1][0] and sum("de-quantised once" in errors for _, errors in said) == 1
