"""Checks of a GGUF file, and the model that transformers reads from it."""

import re
import struct
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, dequantize
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from stages.core.errors import UserError, foreign_code
from stages.models.load import family_of, quiet
from stages.models.model_weights import check_complete
from stages.models.progress import silent_unless_terminal

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_BYTE_LEVEL = "gpt2"  # `tokenizer.ggml.model` of byte-level BPE, whose `tokenizer.ggml.pre` says how text is split
_PRE = "tokenizer.ggml.pre"
# Values of `tokenizer.ggml.pre`, as llama.cpp means them. transformers splits text as GPT-2 does for all values that are
# not in its own table. That is right for the first ones below; the second ones split numbers into digits before that.
_AS_GPT2 = ("gpt-2", "mpt", "olmo", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mellum", "gigachat")
_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")


@dataclass(frozen=True)
class Header:
    """What is read of a GGUF file before its weights.

    - `size`: of the weights in fp32, in bytes.
    - `splits_digits`: whether the tokenizer splits numbers into digits before it splits as GPT-2's does.
    """

    size: int
    splits_digits: bool


def header_of(file: Path) -> Header:
    """Check a GGUF file and read its header.

    Raises UserError if it is no GGUF file, of another version, truncated, or has weights, positions or a tokenizer that
    would not be read as they are.
    """
    _check_version(file)
    try:
        reader = GGUFReader(file)
    except (ValueError, IndexError, KeyError) as error:
        if match := re.fullmatch(rf".*?(\d+)\)? is not a valid {GGMLQuantizationType.__name__}", str(error)):
            raise _unknown(file, f"number {match[1]}") from error
        raise UserError(f"model {file} is truncated or damaged ({error}): download it again") from error
    for kind in {tensor.tensor_type for tensor in reader.tensors}:
        block = np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8)
        try:
            dequantize(block, kind)
        except NotImplementedError as error:
            raise _unknown(file, kind.name) from error
    _check_positions(file, reader)
    _check_tokenizer(file, reader)
    return Header(4 * sum(tensor.n_elements for tensor in reader.tensors), _field(reader, _PRE) in _DIGITS)


def _unknown(file: Path, kind: str) -> UserError:
    return UserError(
        f"model {file} has weights of the quantisation type {kind}, which gguf {version('gguf')} cannot de-quantise: "
        "take the model in another type, such as Q8_0"
    )


def _check_version(file: Path) -> None:
    """Raises UserError unless the file begins as a little-endian GGUF file of version 2 or 3."""
    with open(file, "rb") as data:
        start = data.read(8)
    if start[:4] != _MAGIC:
        raise UserError(f"model {file} is no GGUF file: it begins with {start[:4]!r}, not with {_MAGIC!r}")
    if len(start) < 8:
        raise UserError(f"model {file} is truncated or damaged ({len(start)} bytes): download it again")
    [number] = struct.unpack("<I", start[4:])
    if number not in _VERSIONS:
        what = "big-endian GGUF file" if number % 2**16 == 0 else f"GGUF file of version {number}"
        raise UserError(f"model {file} is a {what}: only little-endian ones of version 2 and 3 can be read")


def _field(reader: GGUFReader, key: str) -> str | None:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _check_positions(file: Path, reader: GGUFReader) -> None:
    """Raises UserError for scaled rotary positions, which transformers does not take over from a GGUF file."""
    scaling = _field(reader, f"{_field(reader, 'general.architecture')}.rope.scaling.type")
    factors = [tensor.name for tensor in reader.tensors if tensor.name.startswith("rope_")]
    if factors or scaling not in (None, "none"):
        raise UserError(
            f"model {file} scales its rotary positions ({factors[0] if factors else scaling}), which transformers does "
            "not read from GGUF: take the model as safetensors"
        )


def _check_tokenizer(file: Path, reader: GGUFReader) -> None:
    """Raises UserError if it is not known how a byte-level tokenizer splits text."""
    split = _field(reader, _PRE)
    known = (*_AS_GPT2, *_DIGITS, *GGUF_PRE_TOKENIZER_SPLITS)
    if _field(reader, "tokenizer.ggml.model") == _BYTE_LEVEL and split not in known:
        raise UserError(
            f"model {file}: its tokenizer splits text by the rule {split} ({_PRE}), which is not known here: "
            "take the model as safetensors"
        )


def read(file: Path, header: Header) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model of a GGUF file, de-quantised to fp32, and its tokenizer.

    Raises UserError if transformers cannot read them, or if weights are missing.
    """
    options = {"gguf_file": str(file.absolute()), "trust_remote_code": False}
    where = f"transformers {version('transformers')} cannot read model {file}"
    # From an empty directory: transformers would take a tokenizer.json beside the file for the file's.
    with foreign_code(where), quiet(), silent_unless_terminal(), tempfile.TemporaryDirectory() as folder:
        config = AutoConfig.from_pretrained(folder, **options)
        _, opener = family_of(config, str(file))
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        if header.splits_digits:
            digits = pre_tokenizers.Digits(individual_digits=True)
            backend = tokenizer.backend_tokenizer
            backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
        model, loaded = opener.from_pretrained(
            folder, **options, config=config, dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True), output_loading_info=True,
        )  # fmt: skip
        check_complete(model, loaded, str(file))
    return model, tokenizer
