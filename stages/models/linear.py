"""fp32 matrix products on a CPU by oneDNN, which torch itself uses only for bf16.

For fp32 torch uses MKL, which leaves half of an AMD processor's vector units idle (95 instead of 205 GFLOP/s on one
core of an EPYC). Sums are fp32 in both.
"""

import os

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from stages.models.precision import has_bf16

# oneDNN compiles a kernel per number of rows, in milliseconds and a megabyte: so rows are padded to eights (as `padded`
# pads texts), and fewer kernels are cached than its default, 1,024.
_ROWS, _CODES = 8, "256"
# Training keeps a second copy of the frozen weights if it is no larger than this, in bytes.
SECOND_COPY = 2**30


def _onednn(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """x [..., in], weight [out, in] with any strides, or packed -> [..., out]"""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x [rows, in], weight [out, in] -> [rows, out]"""
    rows = len(x)
    return _onednn(F.pad(x, (0, 0, 0, -rows % _ROWS)) if rows % _ROWS else x, weight, bias)[:rows]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        moving = ctx.needs_input_grad[1]
        ctx.save_for_backward(weight, x if moving else None)  # a frozen weight's gradient would need x
        # [..., in] -> [rows, in] -> [rows, out] -> [..., out]
        return product(x.reshape(-1, weight.shape[1]), weight, bias).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        flat = gradient.reshape(-1, weight.shape[0])  # [..., out] -> [rows, out]
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            # [rows, in] -> [..., in]
            product(flat, weight.t()).view(*gradient.shape[:-1], weight.shape[1]) if for_x else None,
            # x: [..., in] -> [rows, in]
            _of_weight(flat, x.reshape(-1, weight.shape[1]), weight) if for_weight else None,
            flat.sum(0) if for_bias else None,
        )


class _Packed(torch.autograd.Function):
    """A layer whose weight does not train: `weight` and `back`, its transpose, are packed."""

    @staticmethod
    def forward(
        ctx, x: torch.Tensor, weight: torch.Tensor, back: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.back, width = back, x.shape[-1]
        # [..., in] -> [rows, in] -> [rows, out] -> [..., out]
        return product(x.reshape(-1, width), weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # [..., out] -> [rows, out] -> [rows, in] -> [..., in]
        flat = gradient.reshape(-1, gradient.shape[-1])
        return product(flat, ctx.back).view(*gradient.shape[:-1], -1), None, None, None


def _of_weight(gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Gradient [out, in] of a weight, in the weight's memory layout, from [rows, out] and [rows, in]."""
    if weight.stride(0) == 1:
        return product(x.t(), gradient.t()).t()
    return product(gradient.t(), x.t())


def product_by_run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """bias + x @ weight for each run: [runs, 1, out], [runs, rows, in], [runs, in, out] -> [runs, rows, out]"""
    if len(x) > 1 or x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return torch.baddbmm(bias, x, weight)
    # [rows, in], [out, in], [out] -> [1, rows, out]
    return _Linear.apply(x[0], weight.squeeze(0).t(), bias.flatten())[None]


def use_onednn(model: nn.Module) -> None:
    """Make a CPU model's linear layers compute fp32 products by oneDNN. Nothing happens where torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, _CODES)
    for module in model.modules():
        if isinstance(module, (nn.Linear, Conv1D)):
            module.forward = _Forward(module)


def pack(model: PreTrainedModel, gradients: bool = False) -> None:
    """Reorder the weights as oneDNN needs them, in place of the originals, for a model whose own weights will not be
    trained further.

    Reading one sentence at a time then takes half as long. `gradients`: for training, a copy of the transposed weights is
    packed too, which makes it up to a fifth faster; nothing is done if that copy would exceed `SECOND_COPY`. The numbers
    are the same, bit for bit. Models without `use_onednn` do not change.
    """
    tied = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    layers = [module for module in model.modules() if isinstance(module.forward, _Forward)]
    if gradients and sum(layer.weight.nbytes for layer in layers) > SECOND_COPY:
        return
    for layer in layers:
        layer.forward.pack(id(layer.weight) not in tied, gradients)


class _Forward:
    def __init__(self, module: nn.Module):
        self.module, self.otherwise = module, module.forward
        self.packed: torch.Tensor | None = None
        self.packed_back: torch.Tensor | None = None  # the transpose, for gradients

    @property
    def weight(self) -> torch.Tensor:
        """[out, in]; Conv1D's is [in, out]"""
        return self.module.weight.t() if isinstance(self.module, Conv1D) else self.module.weight

    def pack(self, free: bool, gradients: bool) -> None:
        weight = self.weight.detach()
        if weight.dtype == torch.bfloat16 and not has_bf16(weight.device):
            return
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        if gradients:
            self.packed_back = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), _ROWS)
        if free:
            # Its shape stays, without memory: whoever read the numbers would get NaN.
            self.module.weight.data = weight.new_full((), torch.nan).expand(self.module.weight.shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.packed_back is not None and torch.is_grad_enabled() and x.requires_grad:
            return _Packed.apply(x, self.packed, self.packed_back, self.module.bias)
        if self.packed is not None:
            return _onednn(x, self.packed, self.module.bias)
        if x.dtype != torch.float32 or torch.is_autocast_enabled("cpu") or not x.numel():
            return self.otherwise(x)
        return _Linear.apply(x, self.weight, self.module.bias)
