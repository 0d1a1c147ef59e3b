"""Fixtures shared by the tests: a tiny random GPT-2, a tiny random Llama, the embedded model."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from stages.engine.model import FrozenLM, shape_of

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason="needs real data in ../shared, which is no part of the project")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-gpt2")


def frozen(model, tokenizer) -> FrozenLM:
    model.requires_grad_(False).eval()
    return FrozenLM(
        model, tokenizer, type(model).__name__, shape_of(model.config), model.config.max_position_embeddings
    )


def tiny_gpt2(tokenizer) -> FrozenLM:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=2048, n_positions=256, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3)
    return frozen(GPT2LMHeadModel(config), tokenizer)


def tiny_llama(tokenizer) -> FrozenLM:
    """Rotary positions and grouped queries: four heads over two key-value heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.3,
    )  # fmt: skip
    return frozen(LlamaForCausalLM(config), tokenizer)


@pytest.fixture(params=[tiny_gpt2, tiny_llama], ids=["gpt2", "llama-gqa"])
def lm(request, tokenizer) -> FrozenLM:
    return request.param(tokenizer)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A directory with the project's params.yaml and embedded model, made the current one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/base").symlink_to(ROOT / "data/base")
    monkeypatch.chdir(tmp_path)
    return tmp_path
