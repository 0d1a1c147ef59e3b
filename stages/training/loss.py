"""Cross-entropy of target tokens, computed in chunks.

The logits over the whole vocabulary are the largest tensor of a training step; in chunks they never exist all at once.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

# Logits per chunk, in numbers: 8 MB in fp32 on a CPU, where this costs no time; 256 MB on a GPU.
AT_ONCE, AT_ONCE_ON_GPU = 2**21, 2**26

# Hidden states [tokens, width] -> logits [tokens, vocabulary].
Logits = Callable[[torch.Tensor], torch.Tensor]


class _Losses(torch.autograd.Function):
    """Computes the gradient of each chunk together with its loss, so that the chunk's logits can be freed."""

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, labels: torch.Tensor, logits: Logits, size: int) -> torch.Tensor:
        losses, gradients = [], []
        for some, their in zip(hidden.split(size), labels.split(size), strict=True):
            with torch.enable_grad():
                some = some.detach().requires_grad_()
                loss = F.cross_entropy(logits(some).float(), their, reduction="none")
            losses.append(loss.detach())
            gradients += torch.autograd.grad(loss, some, torch.ones_like(loss))
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (each,) = ctx.saved_tensors  # [tokens, width]
        return (gradient[:, None] * each).to(each.dtype), None, None, None  # gradient: [tokens] -> [tokens, 1]


def token_losses(
    hidden: torch.Tensor, labels: torch.Tensor, logits: Logits, vocabulary: int, frozen: bool
) -> torch.Tensor:
    """The cross-entropy of each target token in nats, [tokens], fp32.

    `hidden` [tokens, width] are the hidden states that predict the tokens `labels` [tokens]; `logits` maps them
    to [tokens, vocabulary]. `frozen`: the weights of `logits` need no gradient; then training uses chunks too.
    """
    size = max(8, (AT_ONCE_ON_GPU if hidden.is_cuda else AT_ONCE) // vocabulary // 8 * 8)
    if frozen and hidden.requires_grad:
        return _Losses.apply(hidden, labels, logits, size)
    if not torch.is_grad_enabled():
        parts = zip(hidden.split(size), labels.split(size), strict=True)
        return torch.cat([F.cross_entropy(logits(some).float(), their, reduction="none") for some, their in parts])
    return F.cross_entropy(logits(hidden).float(), labels, reduction="none")
