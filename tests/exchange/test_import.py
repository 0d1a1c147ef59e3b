"""Imports: what PEFT itself has trained gives the same logits and texts here, and goes on training."""

import json
from copy import deepcopy

import pytest
import torch
from peft import (
    CartridgeConfig,
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_text
from safetensors.torch import load_file, save_file

from stages.exchange.importing import import_adapter
from stages.export import export
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prefix import flatten
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.training import loop as engine
from tests.conftest import config_of
from tests.exchange.conftest import SOURCES, save
from tests.exchange.test_export import TRAVELS
from tests.training.conftest import examples

TARGET = [9, 100, 4, 17]
CAUSAL, SEQ2SEQ = {"task_type": "CAUSAL_LM"}, {"task_type": "SEQ_2_SEQ_LM"}
FOUR = {"num_virtual_tokens": 4}
CONFIGS = {
    "prefix": PrefixTuningConfig(**CAUSAL, **FOUR),
    "projected": PrefixTuningConfig(**CAUSAL, **FOUR, prefix_projection=True, encoder_hidden_size=8),
    "prompt": PromptTuningConfig(**CAUSAL, **FOUR),
    "prompt of an encoder": PromptTuningConfig(**SEQ2SEQ, **FOUR),
    "cartridge": CartridgeConfig(**CAUSAL, **FOUR),
    "lora": LoraConfig(**CAUSAL, r=3, lora_alpha=7, lora_dropout=0.1),
    "rslora": LoraConfig(**CAUSAL, r=3, lora_alpha=7, use_rslora=True, target_modules="all-linear"),
    "some layers": LoraConfig(**CAUSAL, r=2, lora_alpha=16, layers_to_transform=[1], init_lora_weights="gaussian"),
    "lora of an encoder-decoder": LoraConfig(**SEQ2SEQ, r=3, lora_alpha=7),
    "lora without a task": LoraConfig(r=3, lora_alpha=7),
}  # fmt: skip
TRAINED = [
    *((kind, name) for kind in ("mini-gpt2", "llama-gqa") for name, config in CONFIGS.items() if config.task_type != "SEQ_2_SEQ_LM"),
    *(("llama-gqa-begins", name) for name in ("cartridge", "lora")),
    *((kind, name) for kind in ("bart", "t5") for name, config in CONFIGS.items() if config.task_type == "SEQ_2_SEQ_LM"),
]  # fmt: skip


def train(two, name, directory):
    """An adapter that PEFT trains for a few steps and saves; the trained model."""
    torch.manual_seed(0)
    model = get_peft_model(two.bare(), deepcopy(CONFIGS[name]))  # PEFT fills it in
    if name == "cartridge":
        text = "The hotel is near the river, and an oak stands beside it."
        initialize_kv_prefix_from_text(model, two.lm.tokenizer, text=text, use_chat_template=False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.01 if "lora" in name else 0.05
    )
    causal = isinstance(two.lm, DecoderOnly)
    [source, _] = two.ids(begin=name != "cartridge")
    ids = torch.tensor([[*source, *TARGET] if causal else source])
    labels = torch.tensor([[*([-100] * len(source) if causal else []), *TARGET]])
    losses = []
    for _ in range(4):
        losses.append(model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    model.eval().save_pretrained(directory)
    return model


def imported(two, directory, out):
    import_adapter(directory, out, two.lm, "main", [str(two.directory)])
    return saved.load(out, two.lm)


@pytest.mark.parametrize(("kind", "name"), [
    pytest.param(*one, marks=pytest.mark.slow if one[0] == "mini-gpt2" else ()) for one in TRAINED
])  # fmt: skip
def test_what_peft_trained_gives_the_same_here(opened, tmp_path, kind, name):
    two = opened(kind)
    model = train(two, name, tmp_path / "peft")
    adaptation = imported(two, tmp_path / "peft", tmp_path / "run")
    begin = name != "cartridge"
    for beam in (1, 5):
        assert two.ours(adaptation, beam) == two.theirs(model, beam, begin)
    assert two.ours(adaptation, 1) != two.theirs(two.bare(), 1, True), "the adapter changes something"
    source = two.lm.source_ids(SOURCES[:1], None)[0]
    ours = two.lm.logits(two.lm.target_hidden(Batch.of([Example(source, TARGET)], [0], two.lm.device), adaptation))
    read = two.ids(begin)[0]
    if isinstance(two.lm, DecoderOnly):
        given = {"input_ids": torch.tensor([[*read, *TARGET[:-1]]])}
    else:
        given = {"input_ids": torch.tensor([read]), "decoder_input_ids": torch.tensor([[two.lm.start, *TARGET[:-1]]])}
    with torch.no_grad():
        theirs = model(**given, attention_mask=torch.ones_like(given["input_ids"])).logits[0, -len(TARGET) :]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "method"), TRAVELS)
def test_there_and_back_is_the_same_in_bits(opened, tmp_path, kind, method):
    two = opened(kind)
    run = save(two.lm, method, tmp_path / "run")
    export(run, tmp_path / "peft", "peft", two.lm, base="whatever/it-is-called")
    import_adapter(tmp_path / "peft", tmp_path / "back", two.lm, "main", [])
    before, after = saved.state_of(run), saved.state_of(tmp_path / "back")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "back/config.json").read_text())
    assert config["method"] == ("prompt_tuning" if method == "embedding_only" else method)
    assert config["prefix_len"] == (None if method == "lora" else 5)


def test_there_again_is_the_same_file(opened, tmp_path):
    two = opened("llama-gqa")
    train(two, "prefix", tmp_path / "peft")
    imported(two, tmp_path / "peft", tmp_path / "run")
    export(tmp_path / "run", tmp_path / "again", "peft", two.lm)
    [one], [other] = (load_file(tmp_path / name / "adapter_model.safetensors").values() for name in ("peft", "again"))
    assert torch.equal(one, other)
    card = (tmp_path / "again/README.md").read_text()
    assert "| method | prefix, imported from PEFT's PREFIX_TUNING |" in card
    assert "Which ids the adapter was trained on, before its import, is not known." in card
    assert "How it was trained: not known." in card and "# prefix on a task that is not known, " in card


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_of_16_bits_become_fp32(opened, tmp_path, dtype):
    two = opened("llama-gqa")
    train(two, "prefix", tmp_path / "peft")
    file = tmp_path / "peft/adapter_model.safetensors"
    half = {name: tensor.to(dtype) for name, tensor in load_file(file).items()}
    save_file(half, file)
    imported(two, tmp_path / "peft", tmp_path / "run")
    [tensor] = saved.state_of(tmp_path / "run").values()
    assert tensor.dtype == torch.float32 and torch.equal(flatten(tensor[0]), half["prompt_embeddings"].float())


@pytest.mark.parametrize("name", ["prefix", "prompt", "rslora", "cartridge"])
def test_training_goes_on_from_an_import(opened, tmp_path, name):
    two = opened("llama-gqa")
    train(two, name, tmp_path / "peft")
    adaptation = imported(two, tmp_path / "peft", tmp_path / "run")
    said = json.loads((tmp_path / "run/config.json").read_text())
    started = {"file": str(tmp_path / "run")}
    method, options = {
        "prefix": ("prefix", started | {"init": "file", "mlp": False}),
        "prompt": ("prompt_tuning", started | {"init": "file"}),
        "rslora": ("lora", started | said["options"].get("lora", {})),
    }["prefix" if name == "cartridge" else name]
    run = build(two.lm, config_of(method, prefix_len=4, methods={method: options}), [1])
    losses = [engine.dev_loss(two.lm, one, [examples(0)], 3) for one in (run(), adaptation)]
    torch.testing.assert_close(losses[0], losses[1], atol=0 if name != "rslora" else 1e-5, rtol=0)


def test_the_frozen_position_of_a_cartridge_is_said(opened, tmp_path):
    """It is a position like any other here; with a begin token it is that token's, which this engine reads itself."""
    for kind, length, notes in (("llama-gqa", 4, 1), ("llama-gqa-begins", 3, 0)):
        two = opened(kind)
        train(two, "cartridge", tmp_path / f"{kind}-peft")
        lines = import_adapter(
            tmp_path / f"{kind}-peft", tmp_path / f"{kind}-run", two.lm, "main", [str(two.directory)]
        )
        numbers = length * 3 * 2 * 2 * 8
        assert (
            lines[0] == f"{tmp_path}/{kind}-run: a run of prefix of length {length} on {two.lm.name}, {numbers} numbers"
        )
        assert lines[1:] == ["1 of its positions were frozen: a training that goes on here trains them too"][:notes]
