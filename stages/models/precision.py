"""The dtype in which the language model computes. Trainable parameters, loss and optimizer are always fp32."""

import torch

# torch.cpu's names of processor features that multiply matrices in bf16.
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
# Narrower models are no faster in bf16: matrix products are not what takes their time.
_WIDTH = 512


def dtype_of(precision: str, device: torch.device, width: int) -> torch.dtype:
    """The dtype of `fp32`, `bf16` or `auto`: bf16 if the hardware has it and the model is wide enough to gain, else
    fp32."""
    if precision == "auto":
        precision = "bf16" if has_bf16(device) and width >= _WIDTH else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies matrices in bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in _BF16)
