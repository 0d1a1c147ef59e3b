"""In which numbers the language model computes. What a method trains, the loss and the optimiser are fp32 always."""

import torch

# Names of processor features, as torch.cpu calls them, that multiply matrices in bf16.
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
# Narrower models are no faster in bf16: other things than products take their time.
_WIDTH = 512


def dtype_of(precision: str, device: torch.device, width: int) -> torch.dtype:
    """`fp32`, `bf16`, or `auto`: bf16 where the hardware has it and a model of this width gains by it."""
    if precision == "auto":
        precision = "bf16" if has_bf16(device) and width >= _WIDTH else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in _BF16)
