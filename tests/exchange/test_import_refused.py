"""Imports that are refused: options that this engine does not compute, wrong values, tensors and files, other models."""

import json
import shutil

import pytest
import torch
from peft import (
    PeftModel,
    PrefixTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file

from stages.core.errors import UserError
from stages.exchange.importing import import_adapter
from stages.models.encoder import Encoder
from tests.conftest import bare_encoder
from tests.exchange.test_import import FOUR, SEQ2SEQ, train

ALPHA = "must be a number above 0 and of at most 1,000,000"


def refusal(two, directory, tmp_path, names=None):
    with pytest.raises(UserError) as error:
        import_adapter(directory, tmp_path / "run", two.lm, "main", [str(two.directory)] if names is None else names)
    assert not (tmp_path / "run").exists() and "\n" not in str(error.value)
    return str(error.value)


def changed(directory, **changes):
    file = directory / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.fixture
def llama(opened):
    return opened("llama-gqa")


@pytest.mark.parametrize(("key", "value"), [
    ("use_dora", True), ("bias", "lora_only"), ("lora_bias", True), ("modules_to_save", ["lm_head"]), ("use_qalora", True),
    ("rank_pattern", {"q_proj": 8}), ("alpha_pattern", {"q_proj": 8}), ("layer_replication", [[0, 2]]),
    ("trainable_token_indices", [1]), ("target_parameters", ["w"]), ("alora_invocation_tokens", [5]),
    ("init_lora_weights", "pissa"), ("init_lora_weights", "olora"), ("eva_config", {"rho": 2.0}), ("not_yet_known", 1),
    ("megatron_config", {"a": 1}), ("use_bdlora", {"a": 1}), ("kasa_config", {"beta": 1}),
])  # fmt: skip
def test_an_option_that_is_not_computed_here_is_named(llama, tmp_path, key, value):
    train(llama, "lora", tmp_path / "peft")
    changed(tmp_path / "peft", **{key: value})
    assert refusal(llama, tmp_path / "peft", tmp_path).startswith(
        f"{tmp_path}/peft/adapter_config.json: {key} is {value!r}: "
    )


@pytest.mark.parametrize(("name", "key", "value", "reason"), [
    ("prefix", "peft_type", "IA3", "PREFIX_TUNING, CARTRIDGE, PROMPT_TUNING, LORA can be imported"),
    ("prefix", "peft_type", ["LORA"], "PREFIX_TUNING, CARTRIDGE, PROMPT_TUNING, LORA can be imported"),
    ("prefix", "task_type", "SEQ_CLS", "{model} needs CAUSAL_LM"),
    ("prefix", "task_type", None, "{model} needs CAUSAL_LM"),
    ("lora", "task_type", "SEQ_2_SEQ_LM", "{model} needs CAUSAL_LM"),
    ("prefix", "num_layers", 4, "{model} needs 3"),
    ("prefix", "num_attention_heads", 4, "{model} needs 2"),
    ("prefix", "num_attention_heads", "2", "must be a whole number of at least 1"),
    ("prefix", "num_virtual_tokens", True, "must be a whole number of at least 1"),
    ("prefix", "num_virtual_tokens", 5, None),
    ("prefix", "num_transformer_submodules", 2, "{model} needs 1"),
    ("prompt", "num_transformer_submodules", 2, "not for {model}"),
    ("prefix", "base_model_name_or_path", ["x"], "it is to be {model}: if both are the same weights, add --trained-on ['x']"),
    ("prompt", "modules_to_save", ["head"], "this engine does not compute that"),
    ("lora", "r", 4, None), ("lora", "r", -1, "must be a whole number of at least 1"),
    ("lora", "lora_alpha", "7", ALPHA), ("lora", "lora_alpha", 0, ALPHA),
    ("lora", "r", 10**400, None),
    ("lora", "lora_alpha", float("inf"), ALPHA),
])  # fmt: skip
def test_a_wrong_value_is_named(llama, tmp_path, name, key, value, reason):
    """`None`: the tensors have another size."""
    train(llama, name, tmp_path / "peft")
    changed(tmp_path / "peft", **{key: value})
    said = refusal(llama, tmp_path / "peft", tmp_path)
    if reason is None:
        assert said.startswith(f"{tmp_path}/peft/adapter_model.safetensors") and " need " in said
        return
    assert said == f"{tmp_path}/peft/adapter_config.json: {key} is {value!r}: {reason.format(model=llama.lm.name)}"


def test_a_long_value_is_cut(llama, tmp_path):
    train(llama, "lora", tmp_path / "peft")
    changed(tmp_path / "peft", lora_alpha=10**400)
    said = refusal(llama, tmp_path / "peft", tmp_path)
    assert said == (
        f"{tmp_path}/peft/adapter_config.json: lora_alpha is 1{'0' * 199}...: must be a number above 0 and of at most 1,000,000"
    )


def with_tensors(directory, change):
    file = directory / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize(("name", "change", "message"), [
    ("prefix", lambda t: t.update(more=torch.ones(2)), " holds {{'more': [2], 'prompt_embeddings': [4, 96]}}, where "),
    ("prefix", lambda t: t.update({"transform.0.weight": t.pop("prompt_embeddings")}), "'transform.0.weight': [4, 96]"),
    ("prefix", lambda t: t.update(prompt_embeddings=t["prompt_embeddings"][:, :32].contiguous()), "[4, 32]}}, where "),
    ("prefix", lambda t: t["prompt_embeddings"].fill_(float("nan")), "tensor 'prompt_embeddings' has numbers that are NaN"),
    ("prefix", lambda t: t.update(prompt_embeddings=t["prompt_embeddings"].to(torch.int8)), "tensor 'prompt_embeddings' is torch.int8: "),
    ("prefix", lambda t: t.update(prompt_embeddings=t["prompt_embeddings"].double()), "tensor 'prompt_embeddings' is torch.float64: "),
    ("lora", lambda t: t.update({"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.ones(3, 32)}),
     "has no such linear layer, or it is the output matrix"),
    ("lora", lambda t: t.update({"base_model.model.lm_head.lora_A.weight": torch.ones(3, 32)}), "has no such linear layer, or"),
    ("lora", lambda t: t.update({"base_model.model.model.embed_tokens.lora_embedding_A": torch.ones(3, 32)}),
     "lora_embedding_A' is no part of a low-rank update of a linear layer"),
    ("lora", lambda t: t.update({"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector": torch.ones(3)}),
     "lora_magnitude_vector' is no part of a low-rank update of a linear layer"),
    ("lora", lambda t: t.pop("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"),
     "layer model.layers.0.self_attn.q_proj has A and B of sizes [[3, 32], None], where r and "),
    ("lora", lambda t: t.clear(), " holds no tensors"),
    ("lora", lambda t: t.update({"a\nb" * 200: torch.ones(3)}), "is no part of a low-rank update of a linear layer"),
])  # fmt: skip
def test_a_wrong_tensor_is_named(llama, tmp_path, name, change, message):
    train(llama, name, tmp_path / "peft")
    with_tensors(tmp_path / "peft", change)
    said = refusal(llama, tmp_path / "peft", tmp_path)
    assert said.startswith(f"{tmp_path}/peft/adapter_model.safetensors") and message.format() in said


def test_files_that_are_not_what_they_should_be(llama, tmp_path):
    train(llama, "prefix", tmp_path / "peft")
    for name, text, message in (
        ("adapter_config.json", "[]", "adapter_config.json: not a JSON object"),
        ("adapter_config.json", "[" * 100_000, "JSON that is nested too deeply to be read"),
        ("adapter_config.json", "{", "adapter_config.json, line 1: not JSON"),
        ("adapter_model.safetensors", "x" * 99, "cannot read tensors from "),
        ("origin.json", "{}", "origin.json is of another model: its base_model_fingerprint is None, that of "),
        ("origin.json", '{"base_model_fingerprint": "0501611900dad54b"}', "its base_model_fingerprint is 0501611900dad54b, "),
    ):  # fmt: skip
        shutil.copytree(tmp_path / "peft", tmp_path / "damaged")
        (tmp_path / "damaged" / name).write_text(text)
        assert message in refusal(llama, tmp_path / "damaged", tmp_path)
        shutil.rmtree(tmp_path / "damaged")


def test_pickled_tensors_are_not_opened(llama, tmp_path):
    train(llama, "prefix", tmp_path / "peft")
    (tmp_path / "peft/adapter_model.safetensors").rename(tmp_path / "peft/adapter_model.bin")
    assert refusal(llama, tmp_path / "peft", tmp_path) == (
        f"{tmp_path}/peft holds no adapter_model.safetensors: tensors are read from safetensors alone, because a .bin file can "
        "run code when it is opened"
    )


def test_another_base_model_is_refused_unless_it_is_said_to_be_the_same(llama, tmp_path):
    train(llama, "prefix", tmp_path / "peft")
    changed(tmp_path / "peft", base_model_name_or_path="someone/llama")
    assert refusal(llama, tmp_path / "peft", tmp_path, ["mini-gpt2"]) == (
        f"{tmp_path}/peft/adapter_config.json: base_model_name_or_path is 'someone/llama': it is to be {llama.lm.name}: if both "
        "are the same weights, add --trained-on 'someone/llama'"
    )
    import_adapter(tmp_path / "peft", tmp_path / "run", llama.lm, "main", ["someone/llama"])


def test_a_prefix_after_the_begin_token_is_refused(opened, tmp_path):
    """This engine reads the begin token first, PEFT's user gives it after the prefix."""
    two = opened("llama-gqa-begins")
    for name, what in (("prefix", "keys and values"), ("prompt", "embedding")):
        train(two, name, tmp_path / name)
        assert refusal(two, tmp_path / name, tmp_path) == (
            f"{two.lm.name} reads <s> before a prefix here and after it in PEFT, which is not the same: only an adapter whose "
            f"first position is the {what} of <s>, before others, can be imported"
        )


def test_a_prefix_of_an_encoder_decoder_is_refused(opened, tmp_path):
    two = opened("t5")
    get_peft_model(two.bare(), PrefixTuningConfig(**SEQ2SEQ, **FOUR)).save_pretrained(tmp_path / "peft")
    assert refusal(two, tmp_path / "peft", tmp_path) == (
        f"{tmp_path}/peft/adapter_config.json: peft_type is 'PREFIX_TUNING': in the encoder-decoder {two.lm.name} it counts as "
        "positions of the target, and a prefix here does not"
    )


def test_an_encoder_is_refused(llama, word_pieces, tmp_path):
    train(llama, "lora", tmp_path / "peft")
    lm = Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")
    with pytest.raises(
        UserError, match=r"^tiny-bert is an encoder: its head, which scores classes, is no part of PEFT's"
    ):
        import_adapter(tmp_path / "peft", tmp_path / "run", lm, "main", [str(llama.directory)])


def test_what_exists_is_not_replaced(llama, tmp_path):
    train(llama, "prefix", tmp_path / "peft")
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match=r"run exists: delete it, or give another name$"):
        import_adapter(tmp_path / "peft", tmp_path / "run", llama.lm, "main", [str(llama.directory)])


def test_peft_reads_what_peft_wrote(llama, tmp_path):
    """That the reference of these tests is the trained adapter and no other."""
    model = train(llama, "prefix", tmp_path / "peft")
    again = PeftModel.from_pretrained(llama.bare(), tmp_path / "peft").eval()
    assert llama.theirs(again, 1, True) == llama.theirs(model, 1, True)
