"""What is attached to a model's modules while a batch passes: the prefix of an attention, the adapter of any module."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import nn

from stages.models.adaptation import Adaptation

# Of an attention: keys and values [batch or 1, 2, kv_heads, len, head_dim], and which are visible [batch, len] or None.
PREFIX = "held_prefix"
ADAPTER = "held_adapter"  # of any module: a function from hidden states [batch, ..., width] to the same shape
_HOOK = "adapter_hook"

Attached = Mapping[tuple[nn.Module, str], object]


@contextlib.contextmanager
def attached(held: Attached) -> Iterator[None]:
    """Within the block, each (module, name) has its value as an attribute of the module; afterwards it is deleted."""
    for (module, name), value in held.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name in held:
            delattr(module, name)


def attached_to(block: nn.Module) -> Attached:
    """The prefixes and adapters attached to the modules of a block now."""
    return {
        (module, name): module.__dict__[name]
        for module in block.modules()
        for name in (PREFIX, ADAPTER)
        if name in module.__dict__
    }


def adapted(adaptation: Adaptation, runs: torch.Tensor) -> contextlib.AbstractContextManager[None]:
    """Within the block, row `i` of a batch passes the adapters of run `runs[i]`; `runs` is [batch]."""
    for module in adaptation.adapters:
        if _HOOK not in module.__dict__:  # registered once and kept: without an adapter attached it does nothing
            setattr(module, _HOOK, module.register_forward_hook(_through))
    return attached({(module, ADAPTER): partial(one, runs=runs) for module, one in adaptation.adapters.items()})


def _through(module: nn.Module, _inputs, output: torch.Tensor | tuple) -> torch.Tensor | tuple:
    held = module.__dict__.get(ADAPTER)
    return output if held is None else _behind(output, held)


def _behind(output: torch.Tensor | tuple, adapter: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor | tuple:
    """Apply an adapter, in fp32, to a module's output: hidden states, or a tuple that begins with them."""
    if isinstance(output, tuple):
        return (_behind(output[0], adapter), *output[1:])
    return adapter(output.float()).to(output.dtype)
