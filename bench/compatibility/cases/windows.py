"""Decoder-only models some of whose layers see a window alone, or whose positions depend on the length of the text.

Each with a window (or a range) shorter than the texts, and with one longer than them.
"""

from bench.compatibility.case import Case, Tokenizer
from bench.compatibility.vocabularies import begins, ends

SHORT, LONG = 8, 200
GROUPED = {"num_key_value_heads": 2}
ALTERNATING = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
CAPPED = {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0, "query_pre_attn_scalar": 16, "head_dim": 8}
LONG_ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3],
             "long_factor": [2.0, 3.0, 5.0, 8.0]}  # fmt: skip
PATCHES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
           "image_size": 16, "patch_size": 8}  # fmt: skip


def both(name: str, architecture: str, particulars: str, tokenizer: Tokenizer, *, key: str = "sliding_window",
         **settings: object) -> list[Case]:  # fmt: skip
    """`key` is the setting that holds the window."""
    return [
        Case(f"{name}{end}", architecture, f"{particulars}, {key.split('_')[-1]} {size}", tokenizer,
             GROUPED | settings | {key: size})
        for end, size in (("", SHORT), ("-long", LONG))
    ]  # fmt: skip


def seeing(end: str, window: int) -> Case:
    text = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, "head_dim": 8,
            "num_key_value_heads": 2, "sliding_window": window, "vocab_size": 320, **ALTERNATING}  # fmt: skip
    return Case(f"gemma3{end}", "gemma3", f"the text part of a model that sees, window {window}", begins, {
        "text_config": text, "vision_config": PATCHES, "mm_tokens_per_image": 4, "image_token_index": 300,
    })  # fmt: skip


def phi3(name: str, particulars: str, limit: int) -> Case:
    return Case(name, "phi3", particulars, begins, GROUPED | {
        "rope_parameters": LONG_ROPE | {"original_max_position_embeddings": limit},
        "original_max_position_embeddings": limit,
    })  # fmt: skip


CASES = [
    *both("mistral", "mistral", "all layers", begins),
    *both("mixtral", "mixtral", "all layers, experts", begins, num_local_experts=4),
    *both("qwen2-window", "qwen2", "the layers from the second on", ends, use_sliding_window=True,
          max_window_layers=1),
    *both("qwen3-window", "qwen3", "alternating", ends, use_sliding_window=True, head_dim=8,
          **ALTERNATING),
    *both("phi3-window", "phi3", "all layers", begins),
    *both("starcoder2", "starcoder2", "all layers, biases", ends),
    *both("gemma2", "gemma2", "alternating, scores and logits capped", begins, **CAPPED),
    *both("gemma3_text", "gemma3_text", "alternating with a rope of their own", begins, head_dim=8,
          **ALTERNATING),
    seeing("", SHORT),
    seeing("-long", LONG),
    *both("vaultgemma", "vaultgemma", "alternating, scores capped", begins, **CAPPED),
    *both("olmo3", "olmo3", "alternating, norms behind the blocks", ends, **ALTERNATING),
    *both("cohere2", "cohere2", "alternating, rope in windows alone, logit scale", begins,
          logit_scale=0.25, **ALTERNATING),
    *both("exaone4", "exaone4", "alternating", begins, **ALTERNATING),
    *both("smollm3-window", "smollm3", "alternating, rope in windows alone", begins,
          use_sliding_window=True, no_rope_layers=[1, 0, 1], **ALTERNATING),
    *both("ministral", "ministral", "alternating", begins, head_dim=8, **ALTERNATING),
    *both("gpt_oss", "gpt_oss", "alternating, sinks, experts", begins, head_dim=8,
          num_local_experts=4, num_experts_per_tok=2, **ALTERNATING),
    *both("afmoe", "afmoe", "alternating, gated attention, experts", begins, head_dim=8,
          num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, **ALTERNATING),
    *both("llama4_text", "llama4_text", "chunks instead of a window, experts", begins, key="attention_chunk_size",
          head_dim=8, num_local_experts=4, intermediate_size_mlp=48,
          layer_types=["chunked_attention", "full_attention", "chunked_attention"], no_rope_layers=[1, 0, 1]),
    *both("doge", "doge", "masks made from values", begins),
    *both("cwm", "cwm", "alternating", begins, head_dim=8, **ALTERNATING),
    phi3("phi3-longrope", "longrope, texts within its short range", 200),
    phi3("phi3-longrope-beyond", "longrope, texts on both sides of its short range", 32),
]  # fmt: skip
