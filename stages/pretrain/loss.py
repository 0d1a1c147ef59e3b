"""The loss of both embedded models: cross-entropy over the vocabulary, a part of the positions at a time."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

IGNORED = -100
# Logits of so many positions at a time: in fp32 they then stay in the processor's cache.
PART = 512


def cross_entropy(
    hidden: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor], labels: torch.Tensor
) -> torch.Tensor:
    """Mean over the labels that are not IGNORED; `hidden` is [positions, width], `labels` [positions]."""
    total = torch.zeros(())
    for part, wanted in zip(hidden.split(PART), labels.split(PART), strict=True):
        total = total + F.cross_entropy(head(part).float(), wanted, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum()
