"""Decoder-only models some or all of whose layers are recurrent or convolutions: they have no keys and values there."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import begins, ends

GROUPED = {"num_key_value_heads": 2}
STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_expand": 2}
LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8,
          "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention", "linear_attention"],
          "head_dim": 8}  # fmt: skip

CASES = [
    Case("mamba", "mamba", "state space", ends, {"state_size": 8}),
    Case("mamba2", "mamba2", "state space", ends, {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1}),
    Case("falcon_mamba", "falcon_mamba", "state space", ends, {"state_size": 8}),
    Case("rwkv", "rwkv", "recurrent", ends, {"context_length": 256, "attention_hidden_size": 32}),
    Case("xlstm", "xlstm", "recurrent", ends, {"hidden_size": 32, "num_heads": 4, "num_blocks": 2}),
    Case("jamba", "jamba", "state space and attention, experts", begins, GROUPED | {
        "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4, "mamba_d_state": 8, "mamba_dt_rank": 4,
        "use_mamba_kernels": False}),
    Case("bamba", "bamba", "state space and attention", begins, GROUPED | STATE | {"attn_layer_indices": [1]}),
    Case("zamba2", "zamba2", "state space and shared attention", begins, {
        "num_hidden_layers": 3, "mamba_d_state": 8, "n_mamba_heads": 8, "mamba_headdim": 8, "mamba_ngroups": 1,
        "layers_block_type": ["mamba", "hybrid", "mamba"], "num_mem_blocks": 1, "adapter_rank": 4,
        "use_mem_eff_path": False}),
    Case("falcon_h1", "falcon_h1", "state space beside attention", begins, GROUPED | {
        "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}),
    Case("nemotron_h", "nemotron_h", "state space and attention", begins, GROUPED | {
        "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "head_dim": 8}),
    Case("granitemoehybrid", "granitemoehybrid", "state space and attention, experts", ends, GROUPED | STATE | {
        "layer_types": ["mamba", "attention", "mamba"], "num_local_experts": 4, "num_experts_per_tok": 2,
        "shared_intermediate_size": 24}),
    Case("granite-4-dense", "granitemoehybrid", "attention alone, no experts", ends, GROUPED | STATE | {
        "layer_types": ["attention"] * 3, "num_local_experts": 0, "num_experts_per_tok": 0,
        "shared_intermediate_size": 48}),
    Case("recurrent_gemma", "recurrent_gemma", "recurrent and attention", begins, {
        "num_key_value_heads": 1, "lru_width": 32, "attention_window_size": 64,
        "block_types": ["recurrent", "recurrent", "attention"]}),
    Case("qwen3_next", "qwen3_next", "linear and softmax attention, experts", ends, GROUPED | LINEAR | {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 24}),
    Case("qwen3_5_text", "qwen3_5_text", "linear and softmax attention", ends, GROUPED | LINEAR),
    Case("lfm2", "lfm2", "convolutions and attention", begins, GROUPED | {
        "layer_types": ["conv", "full_attention", "conv"], "block_multiple_of": 16}),
    Case("minimax", "minimax", "linear and softmax attention, experts", begins, GROUPED | {
        "layer_types": ["linear_attention", "full_attention", "linear_attention"], "num_local_experts": 4,
        "head_dim": 8}),
]  # fmt: skip
