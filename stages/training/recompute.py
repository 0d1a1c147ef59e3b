"""Activation checkpointing that works with a prefix: the activations of a block are recomputed in the backward pass.

The version in transformers drops the cache, and with it the prefix. This one keeps it: the cache of training stores no
tokens (`PrefixCache`), and what is attached to the modules of a block is attached again for the recomputation.
"""

from collections.abc import Callable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from stages.models.attached import attached, attached_to


def recompute(blocks: list[nn.Module]) -> None:
    """Turn on activation checkpointing for these blocks of a model, for good: their `forward` is replaced."""
    for block in blocks:
        block.forward = partial(_forward, block, block.forward)


def _forward(block: nn.Module, forward: Callable, *arguments, **options):
    parts = attached_to(block)

    def compute(*arguments, **options):
        if attached_to(block):  # the first computation: everything is attached already
            return forward(*arguments, **options)
        with attached(parts):
            return forward(*arguments, **options)

    return checkpoint(compute, *arguments, use_reentrant=False, **options)
