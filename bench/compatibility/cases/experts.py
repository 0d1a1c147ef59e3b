"""Decoder-only models with experts, and those whose keys and values come from a latent vector."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import begins, ends

GROUPED = {"num_key_value_heads": 2}
EXPERTS = GROUPED | {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12,
          "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_shared_experts": 1,
          "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4}  # fmt: skip

CASES = [
    Case("mixtral-no-window", "mixtral", "experts", begins, GROUPED | {"num_local_experts": 4}),
    Case("qwen2_moe", "qwen2_moe", "experts, one shared", ends,
         EXPERTS | {"num_experts": 4, "shared_expert_intermediate_size": 24}),
    Case("qwen3_moe", "qwen3_moe", "experts, normed queries and keys", ends,
         EXPERTS | {"num_experts": 4, "head_dim": 8}),
    Case("olmoe", "olmoe", "experts, normed queries and keys", ends, GROUPED | {
        "num_experts": 4, "num_experts_per_tok": 2}),
    Case("phimoe", "phimoe", "experts", begins, GROUPED | {"num_local_experts": 4, "sliding_window": None}),
    Case("granitemoe", "granitemoe", "experts, multipliers", ends,
         GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 4.0}),
    Case("jetmoe", "jetmoe", "experts of attention", begins, {
        "num_key_value_heads": 2, "kv_channels": 8, "num_local_experts": 4, "num_experts_per_tok": 2}),
    Case("dbrx", "dbrx", "experts, clipped queries", ends, {
        "d_model": 32, "n_heads": 4, "n_layers": 3, "max_seq_len": 256,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 2.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2}}),
    Case("ernie4_5_moe", "ernie4_5_moe", "experts", begins, GROUPED | {
        "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24, "moe_num_shared_experts": 1}),
    Case("hunyuan_v1_moe", "hunyuan_v1_moe", "experts", begins,
         GROUPED | {"num_experts": 4, "moe_topk": 2, "head_dim": 8}),
    Case("glm4_moe", "glm4_moe", "experts, half rotary", begins, EXPERTS | {
        "n_routed_experts": 4, "head_dim": 8, "first_k_dense_replace": 1}),
    Case("dots1", "dots1", "experts", begins, EXPERTS | {
        "n_routed_experts": 4, "head_dim": 8, "first_k_dense_replace": 1, "n_shared_experts": 1}),
    Case("minimax_m2", "minimax_m2", "experts", begins, EXPERTS | {"num_local_experts": 4, "head_dim": 8}),
    Case("aria_text", "aria_text", "experts", begins, GROUPED | {"moe_num_experts": 4, "moe_topk": 2}),
    Case("deepseek_v2", "deepseek_v2", "latent keys and values, experts", begins, LATENT | {"topk_method": "greedy"}),
    Case("deepseek_v3", "deepseek_v3", "latent keys and values, experts", begins, LATENT),
    Case("minicpm3", "minicpm3", "latent keys and values", begins, {
        key: LATENT[key] for key in LATENT if key.startswith(("q", "kv", "v_", "num_key"))}),
    Case("longcat_flash", "longcat_flash", "latent keys and values, experts that do nothing", begins, {
        "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
        "ffn_hidden_size": 48, "expert_ffn_hidden_size": 24, "n_routed_experts": 4, "moe_topk": 2,
        "zero_expert_num": 2}),
]  # fmt: skip
