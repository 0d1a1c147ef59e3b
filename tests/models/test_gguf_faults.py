"""GGUF files that are no models, and caches that cannot be written: each ends in one line."""

import errno
import os
import re
import resource
import struct
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from transformers import PreTrainedModel

from stages.core.errors import UserError
from stages.models import gguf
from stages.models.named import path_of
from tests.models.tiny_gguf import written

pytestmark = pytest.mark.usefixtures("cache")


def line_of(model) -> str:
    """The one line that a model's fault ends in."""
    with pytest.raises(UserError) as error:
        path_of(str(model))
    assert "\n" not in str(error.value)
    return str(error.value)


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


UNKNOWN_RULE = (
    "model {path}: its tokenizer splits text by the rule {rule} (tokenizer.ggml.pre), which is not known here: take the model as "
    "safetensors"
)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"architecture": "plamo"},
         f"transformers {version('transformers')} cannot read model {{path}} (ValueError: GGUF model with architecture plamo is not "
         "supported yet.); PREFIX_DEBUG=1 shows the traceback"),
        ({"rule": "default"}, UNKNOWN_RULE),
        ({"rule": "bailingmoe"}, UNKNOWN_RULE),
        ({"extra": {"rope_freqs.weight": np.ones(8, np.float32)}},
         "model {path} scales its rotary positions (rope_freqs.weight), which transformers does not read from GGUF: take the model as "
         "safetensors"),
        # transformers would fill the missing weights with random numbers
        ({"without": "blk.1.attn_q.weight"},
         "model {path} lacks 1 tensor (model.layers.1.self_attn.q_proj.weight): its weights and its config.json do not fit together"),
    ],
    ids=["architecture", "rule", "another-rule", "scaled-positions", "missing-weights"],
)  # fmt: skip
def test_what_would_not_be_read_as_it_is(tmp_path, tokenizer, change, line):
    path = written(tmp_path / "tiny.gguf", tokenizer, **change)
    assert line_of(path) == line.format(path=path, rule=change.get("rule"))


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
