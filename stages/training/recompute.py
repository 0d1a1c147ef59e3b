"""Activation checkpointing that works with a prefix: a block's activations are computed again in the backward pass.

transformers' own drops the cache, and with it the prefix. Here the caches of training keep nothing (`PrefixCache`), and
what the modules of a block hold is put back for the second computation.
"""

from collections.abc import Callable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from stages.models.attached import attached, attached_to


def recompute(blocks: list[nn.Module]) -> None:
    """From now on, wherever these blocks compute with gradients."""
    for block in blocks:
        block.forward = partial(_forward, block, block.forward)


def _forward(block: nn.Module, forward: Callable, *arguments, **options):
    held = attached_to(block)

    def compute(*arguments, **options):
        if attached_to(block):  # the first time: they hold it already
            return forward(*arguments, **options)
        with attached(held):
            return forward(*arguments, **options)

    return checkpoint(compute, *arguments, use_reentrant=False, **options)
