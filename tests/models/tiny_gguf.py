"""A small Llama of random weights in a GGUF file, by gguf's own writer."""

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quantize

HEADS, KV_HEADS, LAYERS, WIDTH, TOKENS = 4, 2, 2, 64, 400


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
