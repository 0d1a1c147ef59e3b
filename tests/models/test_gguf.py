"""GGUF files as models: a small Llama that gguf's own writer writes, the cache, and each fault in one line."""

import errno
import json
import os
import re
import resource
import struct
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize, quantize
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from stages.core.errors import UserError
from stages.models import gguf, gguf_read
from stages.models.load import load
from stages.models.named import path_of
from tests.conftest import ROOT, config_of
from tests.models.byte_level import ByteLevel

HEADS, KV_HEADS, LAYERS, WIDTH, TOKENS = 4, 2, 2, 64, 400
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
TEXT = "The Mill has  24 rooms\n\n7 of them don't , naïve £ 30"


def tensors_of() -> dict[str, np.ndarray]:
    """Random weights by their names in GGUF; a tied output matrix."""
    random = np.random.default_rng(0)
    shapes = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}
    shapes |= {"ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96), "attn_norm": (64,), "ffn_norm": (64,)}
    found = {"token_embd.weight": (TOKENS, WIDTH), "output_norm.weight": (64,)}
    found |= {f"blk.{layer}.{name}.weight": shape for layer in range(LAYERS) for name, shape in shapes.items()}
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in found.items()}


def written(path: Path, tokenizer, kind="Q8_0", architecture="llama", rule="gpt-2", without="", extra=()) -> Path:
    """A small Llama in a GGUF file: matrices of the type `kind`, some of the vocabulary of mini-gpt2."""
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(TOKENS)
    tokens, merges = pieces_of(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([3, *[1] * (TOKENS - 1)])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    for name, values in (tensors_of() | dict(extra)).items():
        if name != without:
            flat = GGMLQuantizationType.F32 if values.ndim == 1 else GGMLQuantizationType[kind]
            writer.add_tensor(name, quantize(values, flat), raw_dtype=flat)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def pieces_of(tokenizer):
    """The first tokens and merges of a byte-level tokenizer, then two spaces, which the rules treat differently."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)[: TOKENS - 1]
    merges = [" ".join(merge) for merge in model["merges"] if "".join(merge) in tokens]
    return [*tokens, "ĠĠ"], [*merges, "Ġ Ġ"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(gguf.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache/gguf"


@pytest.fixture
def file(tmp_path, tokenizer):
    return written(tmp_path / "tiny.gguf", tokenizer)


def line_of(model) -> str:
    """The one line that a model's fault ends in."""
    with pytest.raises(UserError) as error:
        path_of(str(model))
    assert "\n" not in str(error.value)
    return str(error.value)


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


def test_another_file_under_the_same_name(file, tokenizer):
    first = path_of(str(file))
    assert path_of(str(written(file, tokenizer, "F16"))) != first


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv(gguf.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert gguf.cache_directory() == Path("/some/where/prefix-tuning-pipeline")
    monkeypatch.setenv(gguf.CACHE, "/else/where")
    assert gguf.cache_directory() == Path("/else/where")


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


def test_no_such_file(tmp_path):
    assert line_of(tmp_path / "no.gguf") == f"cannot read model {tmp_path}/no.gguf: No such file or directory"
    (tmp_path / "folder.gguf").mkdir()
    assert line_of(tmp_path / "folder.gguf") == f"cannot read model {tmp_path}/folder.gguf: Is a directory"


READ = "only little-endian ones of version 2 and 3 can be read"


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (b"", "is no GGUF file: it begins with b'', not with b'GGUF'"),
        (b"<html><b>", "is no GGUF file: it begins with b'<htm', not with b'GGUF'"),
        (b"GGUF", "is truncated or damaged (4 bytes): download it again"),
        *(
            (b"GGUF" + struct.pack("<I", number), f"is a GGUF file of version {number}: {READ}")
            for number in (1, 4)
        ),
        (b"GGUF" + struct.pack(">I", 3), f"is a big-endian GGUF file: {READ}"),
    ],
)  # fmt: skip
def test_files_of_other_kinds(tmp_path, start, line):
    path = tmp_path / "bad.gguf"
    path.write_bytes(start + bytes(100) if len(start) == 8 else start)
    assert line_of(path) == f"model {path} {line}"


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.9, 0.999])
def test_a_truncated_file(file, cache, share):
    """In the metadata and in the weights."""
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    assert re.fullmatch(f"model {file} is truncated or damaged \\(.+\\): download it again", line_of(file)), (
        "it names the file and what to do"
    )
    assert list(cache.iterdir()) == [cache / f"{gguf.sha256(file)}-1.lock"], "nothing is kept"


@pytest.mark.parametrize(("number", "name"), [(99, "number 99"), (24, "I8")])
def test_an_unknown_quantisation(file, number, name):
    """One that gguf has never heard of, and one that it cannot de-quantise."""
    tensor = next(tensor for tensor in GGUFReader(file).tensors if tensor.name == "blk.1.ffn_down.weight")
    place = tensor.field.offset + sum(part.nbytes for part in tensor.field.parts[:4])
    data = bytearray(file.read_bytes())
    assert data[place : place + 4] == struct.pack("<I", GGMLQuantizationType.Q8_0)
    data[place : place + 4] = struct.pack("<I", number)
    file.write_bytes(data)
    assert line_of(file) == (
        f"model {file} has weights of the quantisation type {name}, which gguf {version('gguf')} cannot de-quantise: take the model in "
        "another type, such as Q8_0"
    )


def test_an_architecture_that_transformers_does_not_map(tmp_path, tokenizer):
    path = written(tmp_path / "tiny.gguf", tokenizer, architecture="plamo")
    assert line_of(path) == (
        f"transformers {version('transformers')} cannot read model {path} (ValueError: GGUF model with architecture plamo is not supported "
        "yet.); PREFIX_DEBUG=1 shows the traceback"
    )


@pytest.mark.parametrize("rule", ["default", "bailingmoe"])
def test_a_tokenizer_that_is_not_known(tmp_path, tokenizer, rule):
    path = written(tmp_path / "tiny.gguf", tokenizer, rule=rule)
    assert line_of(path) == (
        f"model {path}: its tokenizer splits text by the rule {rule} (tokenizer.ggml.pre), which is not known here: take the "
        "model as safetensors"
    )


def test_scaled_positions(tmp_path, tokenizer):
    path = written(tmp_path / "tiny.gguf", tokenizer, extra={"rope_freqs.weight": np.ones(8, np.float32)})
    assert line_of(path) == (
        f"model {path} scales its rotary positions (rope_freqs.weight), which transformers does not read from GGUF: take the "
        "model as safetensors"
    )


def test_weights_that_are_not_there(tmp_path, tokenizer):
    """transformers would fill them with random numbers."""
    path = written(tmp_path / "tiny.gguf", tokenizer, without="blk.1.attn_q.weight")
    assert line_of(path) == (
        f"model {path} lacks 1 tensor (model.layers.1.self_attn.q_proj.weight): its weights and its config.json do not fit "
        "together"
    )


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_without_the_packages(file, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert line_of(file) == (
        f"model {file}: GGUF files need the package {package}, which is not installed: pip install -c constraints.txt -e "
        "'.[gguf]'"
    )


ELSEWHERE = "; the environment variable PREFIX_CACHE names another directory for the cache"


def test_no_room_for_the_cache(file, cache):
    """A file may have 50 kB: the weights need eight times as much. Nothing half-written is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        line = line_of(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    made = cache / f"{gguf.sha256(file)}-1"
    assert re.fullmatch(f"cannot write {made}: .*File too large.*; the model takes 0\\.00 GB{ELSEWHERE}", line), line
    assert list(cache.iterdir()) == [made.with_name(f"{made.name}.lock")]
    assert path_of(str(file)) == str(made), "with room it is made"


def test_a_full_disk(file, cache, monkeypatch):
    def full(self, out, **given):
        Path(out).mkdir()
        (Path(out) / "config.json").write_text("{")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    made = cache / f"{gguf.sha256(file)}-1"
    assert line_of(file) == f"cannot write {made}: No space left on device; the model takes 0.00 GB{ELSEWHERE}"
    assert list(cache.iterdir()) == [made.with_name(f"{made.name}.lock")]


def test_a_cache_that_cannot_be_made(file, cache):
    cache.parent.write_text("a file")
    made = cache / f"{gguf.sha256(file)}-1"
    assert line_of(file) == f"cannot write {made}: Not a directory{ELSEWHERE}"
