"""A checkpoint that does not load whole ends in one line that names what is wrong with it; no code of its own is run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, GPT2Config, Phi3Config

from bench.compatibility.vocabularies import begins
from stages.core.errors import UserError
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.check import check_logits, some_ids
from stages.models.load import load

ROOT = Path(__file__).parents[2]


def copied(out: Path, name: str, weights=None, **config) -> str:
    """A copy of an embedded model with its tensors as `weights` makes them, and `config` changed."""
    shutil.copytree(ROOT / "data/base" / name, out)
    if weights is not None:
        tensors = {key: value.clone() for key, value in weights(load_file(out / "model.safetensors")).items()}
        save_file(tensors, out / "model.safetensors", {"format": "pt"})
    written = json.loads((out / "config.json").read_text()) | config
    (out / "config.json").write_text(json.dumps(written))
    return str(out)


def without(part: str):
    return lambda tensors: {key: value for key, value in tensors.items() if part not in key}


def named(prefix: str):
    return lambda tensors: {prefix + key: value for key, value in tensors.items()}


@pytest.mark.parametrize(
    ("name", "weights", "config", "line"),
    [
        ("mini-gpt2", without("ln_"), {}, "lacks 26 tensors (transformer.h.0.ln_1.bias, "),
        ("mini-gpt2", named("module."), {}, "70 tensors are named as by DataParallel or DistributedDataParallel"),
        ("mini-gpt2", named("_orig_mod."), {}, "70 tensors are named as by torch.compile"),
        ("mini-gpt2", named("base_model.model."), {}, "70 tensors are named as by PEFT"),
        ("mini-gpt2", None, {"tie_word_embeddings": False}, "lacks 1 tensor (lm_head.weight)"),
        ("mini-gpt2", None, {"n_layer": 3}, "holds 33 tensors (transformer.h.3.attn.c_attn.weight, "),
        ("mini-gpt2", None, {"n_layer": 8}, "lacks 24 tensors (transformer.h.6.attn.c_attn.bias, "),
        ("mini-gpt2", None, {"n_positions": 300}, "transformer.wpe.weight has the size [512, 256] in its weights"),
        ("mini-gpt2", None, {"n_head": 5}, "`embed_dim` must be divisible by num_heads"),
        ("mini-gpt2", None, {"quantization_config": {"quant_method": "gptq"}}, "is quantized (gptq)"),
        ("mini-gpt2", None, {"model_type": "foo", "auto_map": {"AutoConfig": "m.Foo"}}, "comes with code of its own"),
        ("mini-gpt2", None, {"model_type": "foo"}, "is of an architecture, foo, that this version"),
        ("mini-gpt2", lambda t: t | {"transformer.ln_f.weight": torch.full((256,), torch.nan)}, {}, "no numbers"),
        ("mini-bart", without("encoder_attn"), {}, "lacks 30 tensors (model.decoder.layers.0.encoder_attn."),
    ],
)
def test_weights_and_config_that_do_not_fit(tmp_path, name, weights, config, line):
    with pytest.raises(UserError, match=re.escape(line)) as error:
        load(copied(tmp_path / "model", name, weights, **config), "mine", "main")
    assert "\n" not in str(error.value) and "mine" in str(error.value)


def test_an_attention_that_is_not_installed_is_not_asked_for(tmp_path):
    assert load(copied(tmp_path / "model", "mini-gpt2", _attn_implementation="flash_attention_2"), "mine", "main")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "pickled weights"),
        (lambda d: (d / "model.safetensors").rename(d / "model.gguf"), "GGUF: name the file itself as the model"),
        (
            lambda d: (d / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "git lfs pull",
        ),
        (lambda d: (d / "model.safetensors").rename(d / "model-00001-of-00002.safetensors"), "lacks model-00002-of"),
        (lambda d: (d / "config.json").rename(d / "adapter_config.json"), "holds a PEFT adapter, not a model"),
        (lambda d: (d / "config.json").write_text("[" * 100_000), "RecursionError"),
        (lambda d: (d / "tokenizer.json").unlink(), "cannot open model mine: look at"),
    ],
    ids=["bin", "gguf", "lfs", "shard", "adapter", "deep", "no tokenizer"],
)
def test_files_that_are_no_model(tmp_path, change, line):
    directory = Path(copied(tmp_path / "model", "mini-gpt2"))
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    if line.startswith("lacks"):
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    change(directory)
    with pytest.raises(UserError, match=re.escape(line)) as error:
        load(str(directory), "mine", "main")
    assert "\n" not in str(error.value)


def test_the_traceback_is_shown_where_it_is_asked_for(tmp_path):
    code = (
        "from stages.core.errors import entry_point, foreign_code\n"
        "def main():\n    with foreign_code('cannot do it'):\n        raise KeyError('cause')\n"
        "entry_point(main)()"
    )
    for debug in ("", "1"):
        environment = {"PYTHONPATH": str(ROOT), "PREFIX_DEBUG": debug}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        last = "error: cannot do it (KeyError: 'cause'); PREFIX_DEBUG=1 shows the traceback"
        assert done.returncode == 1 and done.stderr.splitlines()[-1] == last
        assert ("Traceback" in done.stderr) == bool(debug)


def test_tokens_beyond_the_embedding(tmp_path):
    directory = copied(tmp_path / "model", "mini-gpt2")
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens(["<a>", "foo bar"])
    tokenizer.save_pretrained(directory)
    with pytest.raises(UserError, match=r"has 3072 input vectors, but its tokenizer has 2 tokens beyond them, .*'<a>'"):
        load(directory, "mine", "main")


def test_a_special_token_beyond_the_embedding_is_refused_in_a_text(tmp_path):
    directory = copied(tmp_path / "model", "mini-gpt2")
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(directory)
    lm = load(directory, "mine", "main")
    with pytest.raises(UserError, match="none for '<image>', which a text holds"):
        lm.source_ids(["an <image> here"], None)


def saved(out: Path, config, tokenizer) -> str:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return str(out)


SIZE = {"vocab_size": 3072, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 0}  # fmt: skip


def test_gemma_2_with_capped_scores_and_windows(tmp_path, tokenizer):
    """Texts of twice the window, against transformers' own attention."""
    config = Gemma2Config(
        **SIZE, head_dim=8, sliding_window=8, attn_logit_softcapping=2.0, final_logit_softcapping=None
    )
    lm = load(saved(tmp_path, config, tokenizer), "gemma", "main")
    assert lm.window == 8
    lm.window = None  # a window that is forgotten is found
    with pytest.raises(UserError, match="computes its logits in a way that is not supported"):
        check_logits(lm)


def test_longrope_is_kept_to_its_short_range(tmp_path, tokenizer):
    rotary = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [8.0] * 4,
              "original_max_position_embeddings": 64}  # fmt: skip
    config = Phi3Config(
        **SIZE, rope_parameters=rotary, max_position_embeddings=512, original_max_position_embeddings=64
    )
    lm = load(saved(tmp_path, config, tokenizer), "phi", "main")
    assert lm.positions == 64
    with pytest.raises(UserError, match="exceed the 64 positions of phi"):
        lm.check_max_length(60, 10, 0)


def test_a_model_whose_numbers_depend_on_its_neighbours(lm, monkeypatch):
    own = type(lm).target_hidden
    monkeypatch.setattr(type(lm), "target_hidden", lambda lm, batch, s: own(lm, batch, s) * len(batch.examples))
    with pytest.raises(UserError, match="computes its logits in a way that is not supported"):
        check_logits(lm)


def test_a_model_that_takes_no_prefix(lm, monkeypatch):
    """Whose values are taken for its keys."""
    own = type(lm).activations
    swapped = lambda lm, ids: {place: keys.flip(1) for place, keys in own(lm, ids).items()}  # noqa: E731
    monkeypatch.setattr(type(lm), "activations", swapped)
    with pytest.raises(UserError, match="takes no prefix: after the keys and values of words"):
        check_logits(lm)


def test_a_model_that_begins_texts_reads_them_so(tmp_path):
    """With an empty prefix the logits are those of the tokenizer's ids; the beginning does not see a prefix."""
    tokenizer = begins()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
    )
    lm = load(saved(tmp_path, config, tokenizer), "begins", "main")
    text = "The hotel is near the river."
    [source] = lm.source_ids([text], None)
    assert lm.begin == [tokenizer.bos_token_id] and source == tokenizer(lm.space + text)["input_ids"]
    example = Example(source, some_ids(lm, 4, 1))
    batch = Batch.of([example], [0], lm.device)
    with torch.no_grad():
        own = lm.model(input_ids=torch.tensor([[*source, lm.separator]])).logits[0, -1]
        assert torch.allclose(lm.logits(lm.target_hidden(batch, Adaptation()))[0], own, atol=1e-5)
        # A prefix of the activations of words stands as the words would.
        words = lm.token_ids("near the river")
        prefix = Adaptation({"decoder": lm.activations(words)["decoder"][None]})
        ours = lm.logits(lm.target_hidden(batch, prefix))
        ids = [*lm.begin, *words, *source[1:], lm.separator, *example.target[:-1]]
        theirs = lm.model(input_ids=torch.tensor([ids])).logits[0, -len(example.target) :]
    assert torch.allclose(ours, theirs, atol=1e-4)
