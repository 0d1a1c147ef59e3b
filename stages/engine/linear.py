"""Matrix products in fp32 on a CPU by oneDNN, which torch uses for bf16 alone.

torch's own fp32 products are MKL's, which leaves half of an AMD processor's vector units idle (95 against 205 GFLOP/s on
one core of an EPYC; the sums are fp32 either way).
"""

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x [..., in], weight [out, in] of any strides -> [..., out]"""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        moving = ctx.needs_input_grad[1]
        ctx.save_for_backward(weight, x if moving else None)  # a frozen weight's gradient would need x
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        flat = gradient.reshape(-1, weight.shape[0])  # [rows, out]
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _product(flat, weight.t()).view(*gradient.shape[:-1], weight.shape[1]) if for_x else None,
            _product(flat.t(), x.reshape(-1, weight.shape[1]).t()) if for_weight else None,  # [out, rows] by [in, rows]
            flat.sum(0) if for_bias else None,
        )


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a model on a CPU compute so in fp32; what else they do stays as it is."""
    if not torch.backends.mkldnn.is_available():
        return
    for module in model.modules():
        if isinstance(module, (nn.Linear, Conv1D)):
            module.forward = _Forward(module)


class _Forward:
    def __init__(self, module: nn.Module):
        self.module, self.otherwise = module, module.forward
        self.transposed = isinstance(module, Conv1D)  # its weight is [in, out]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32 or torch.is_autocast_enabled("cpu") or not x.numel():
            return self.otherwise(x)
        weight = self.module.weight.t() if self.transposed else self.module.weight
        return _Linear.apply(x, weight, self.module.bias)
