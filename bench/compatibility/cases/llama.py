"""Decoder-only models of Llama's kind without windows: rotary positions, grouped queries, and what each adds."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import begins, ends

GROUPED = {"num_key_value_heads": 2}


def rope(kind: str, **settings: object) -> dict:
    return GROUPED | {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


CASES = [
    Case("llama", "llama", "grouped queries", begins, GROUPED),
    Case("llama-biases", "llama", "tied head, biases, wider heads", begins,
         GROUPED | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 16}),
    Case("llama-3.1", "llama", "rope scaled as in Llama 3.1", begins, rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    Case("llama-linear", "llama", "linear rope scaling", begins, rope("linear", factor=4.0)),
    Case("llama-yarn", "llama", "YaRN", begins, rope("yarn", factor=4.0, original_max_position_embeddings=64)),
    Case("llama-dynamic", "llama", "dynamic NTK, texts below its limit", begins, rope("dynamic", factor=4.0)),
    Case("llama-dynamic-long", "llama", "dynamic NTK, texts beyond its limit", begins,
         rope("dynamic", factor=4.0) | {"max_position_embeddings": 32}),
    Case("qwen2", "qwen2", "biases in queries, keys and values", ends, GROUPED),
    Case("qwen3", "qwen3", "normed queries and keys", ends, GROUPED | {"head_dim": 16}),
    Case("gemma", "gemma", "scaled embedding, one key-value head, wider heads", begins,
         {"num_key_value_heads": 1, "head_dim": 16}),
    Case("phi3", "phi3", "queries, keys and values in one matrix", begins, GROUPED),
    Case("stablelm", "stablelm", "a quarter rotary, biases", ends, GROUPED | {"use_qkv_bias": True}),
    Case("stablelm-parallel", "stablelm", "parallel blocks, normed queries and keys", ends,
         GROUPED | {"use_parallel_residual": True, "qk_layernorm": True}),
    Case("olmo", "olmo", "norms without weights, clipped queries", ends, GROUPED | {"clip_qkv": 2.0}),
    Case("olmo2", "olmo2", "norms behind the blocks", ends, GROUPED),
    Case("granite", "granite", "multipliers of embedding, attention, residual and logits", ends, GROUPED | {
        "embedding_multiplier": 3.0, "attention_multiplier": 0.5, "residual_multiplier": 0.6, "logits_scaling": 4.0}),
    Case("cohere", "cohere", "parallel blocks, logit scale, normed queries and keys", begins,
         GROUPED | {"use_qk_norm": True, "logit_scale": 0.25}),
    Case("cohere-one", "cohere", "parallel blocks, logit scale 1", begins, GROUPED | {"logit_scale": 1.0}),
    Case("smollm3", "smollm3", "every other layer without rope", begins,
         GROUPED | {"no_rope_layers": [1, 0, 1], "use_sliding_window": False}),
    Case("glm", "glm", "half rotary", begins, GROUPED | {"head_dim": 8}),
    Case("glm4", "glm4", "four norms a layer", begins, GROUPED | {"head_dim": 8}),
    Case("nemotron", "nemotron", "half rotary, squared ReLU", begins, GROUPED),
    Case("helium", "helium", "rotary by neighbours", begins, GROUPED | {"head_dim": 8}),
    Case("ernie4_5", "ernie4_5", "rotary by neighbours", begins, GROUPED | {"head_dim": 8}),
    Case("seed_oss", "seed_oss", "wider heads", begins, GROUPED | {"head_dim": 16}),
    Case("hunyuan_v1_dense", "hunyuan_v1_dense", "normed queries and keys", begins, GROUPED | {"head_dim": 8}),
    Case("bitnet", "bitnet", "norms inside the blocks", begins, GROUPED),
    Case("arcee", "arcee", "squared ReLU", begins, GROUPED),
    Case("apertus", "apertus", "xIELU", begins, GROUPED),
    Case("jais2", "jais2", "biases, squared ReLU", begins, GROUPED),
    Case("internlm3", "internlm3", "biases", begins, GROUPED | {"head_dim": 8}),
    Case("hyperclovax", "hyperclovax", "multipliers", begins, GROUPED),
    Case("nanochat", "nanochat", "logits capped", begins, GROUPED),
    Case("diffllama", "diffllama", "the difference of two attentions", begins, GROUPED),
    Case("hrm_text", "hrm_text", "layers read again and again", begins, std=0.1),
]  # fmt: skip
