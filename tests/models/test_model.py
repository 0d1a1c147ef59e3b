"""What cannot be loaded ends in one line; what can is frozen and knows its shape."""

import json
import shutil

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPTNeoConfig,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    OPTConfig,
    PegasusConfig,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
)

from stages.core.errors import UserError
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.load import load
from stages.models.model import Shape


def test_the_embedded_model(project):
    lm = load("data/base/mini-gpt2", "mini-gpt2", "main")
    assert lm.shapes == {"decoder": Shape(layers=6, kv_heads=4, head_dim=64)} and lm.positions == 512
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    assert lm.separator == lm.end == lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_the_embedded_encoder_decoder(project):
    lm = load("data/base/mini-bart", "mini-bart", "main")
    layers = Shape(layers=3, kv_heads=4, head_dim=64)
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
        any_lm.check_max_length(any_lm.positions - 30, 10, 5)
        with pytest.raises(UserError, match=r"a source of 300 and a target of 10 tokens.* set cut\.source_tokens"):
            any_lm.check_max_length(300, 10, 5)


def test_words_are_repeated_and_never_cut(any_lm):
    ids = any_lm.words("name of the place", 4)
    assert len(ids) == 4 and any_lm.words("name of the place", 6) == ids + ids[:2]
    with pytest.raises(
        UserError, match=r"'name of the place' has 4 tokens in the vocabulary of .*, but prefix_len is 3"
    ):
        any_lm.words("name of the place", 3)
    if any_lm.positions:
        with pytest.raises(UserError, match=f"prefix_len 300 exceeds the {any_lm.positions} positions"):
            any_lm.words("name", 300)


def test_a_target_has_an_end_whatever_the_tokenizer_adds(bart_lm, tokenizer):
    bart_lm.tokenizer = tokenizer  # adds nothing
    [long, empty] = bart_lm.target_ids(["The Oak is old.", ""], None)
    assert (long[-1], empty) == (bart_lm.end, [bart_lm.end]) and long.count(bart_lm.end) == 1
    [cut] = bart_lm.target_ids(["The Oak is old."], 3)
    assert len(cut) == 3 and cut[-1] == bart_lm.end


def test_a_model_without_a_start(bart_lm):
    bart_lm.model.config.decoder_start_token_id = None
    with pytest.raises(UserError, match="names no decoder_start_token_id"):
        EncoderDecoder(bart_lm.model, bart_lm.tokenizer, "odd")


def test_a_model_of_another_kind(tmp_path, tokenizer):
    MambaForCausalLM(MambaConfig(vocab_size=3072, hidden_size=16, num_hidden_layers=1)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"model odd does not compute attention by transformers' interface"):
        load(str(tmp_path), "odd", "main")


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        (MistralConfig(**SMALL, vocab_size=3072, num_key_value_heads=2, sliding_window=16,
                       max_position_embeddings=256), 256),
        (OPTConfig(vocab_size=3072, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=4,
                   word_embed_proj_dim=32, max_position_embeddings=128), 128),
        (PegasusConfig(vocab_size=3075, d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=64,
                       decoder_ffn_dim=64, encoder_attention_heads=4, decoder_attention_heads=4,
                       max_position_embeddings=128, decoder_start_token_id=2, forced_eos_token_id=None), 128),
    ],
)  # fmt: skip
def test_models_with_windows_and_other_positions(tmp_path, tokenizer, bart_tokenizer, config, positions):
    """Opening one compares its logits with ours, read at once and step by step."""
    opened = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    opened.from_config(config).save_pretrained(tmp_path)
    (bart_tokenizer if config.is_encoder_decoder else tokenizer).save_pretrained(tmp_path)
    assert load(str(tmp_path), "other", "main").positions == positions


def test_models_that_would_take_beams_for_a_text(tmp_path, tokenizer):
    config = GPTNeoConfig(vocab_size=3072, hidden_size=32, num_layers=2, attention_types=[[["global", "local"], 1]],
                          num_heads=4, window_size=16)  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="model neo does not compute attention by transformers' interface"):
        load(str(tmp_path), "neo", "main")


def test_a_model_with_a_bias_of_its_own_in_each_layer(tmp_path, bart_tokenizer):
    config = UMT5Config(vocab_size=3075, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)
    bart_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="model odd "):
        load(str(tmp_path), "odd", "main")


@pytest.mark.parametrize("name", ["mini-gpt2", "mini-bart"])
def test_the_embedded_models_fit_into_git(request, name):
    files = (request.config.rootpath / "data/base" / name).iterdir()
    assert sum(file.stat().st_size for file in files) <= 16 * 2**20


def test_shapes_are_those_of_keys_and_values(lm):
    heads = 2 if "llama" in lm.name else 4
    assert lm.shapes == {"decoder": Shape(layers=3, kv_heads=heads, head_dim=8)}


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


def test_a_tokenizer_that_is_published_as_sentencepiece_alone_is_read(tmp_path):
    """T5's and DeBERTa-v2's often are: without the packages transformers asks for another one by mistake."""
    text, model = tmp_path / "text", tmp_path / "model"
    text.write_text("the hotel is near the river\nthe price of the hotel is low\n" * 50)
    config = T5Config(vocab_size=200, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
    T5ForConditionalGeneration(config).save_pretrained(model)
    SentencePieceTrainer.train(
        input=str(text), model_prefix=str(model / "spiece"), vocab_size=40, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    lm = load(str(model), "t5", "main")
    pieces = lm.token_ids("the hotel is low")
    assert lm.family == "encoder-decoder" and lm.tokenizer.decode(pieces) == "the hotel is low"
    assert lm.tokenizer.unk_token_id not in pieces and lm.end == 1
