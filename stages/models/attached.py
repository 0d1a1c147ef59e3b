"""What is attached to a model's modules while a batch passes.

The prefix of an attention, the adapter of any module, the low-rank update of a linear layer.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import nn

from stages.models.adaptation import Adaptation

# Of an attention: keys and values [batch or 1, 2, kv_heads, len, head_dim], and which are visible [batch, len] or None.
PREFIX = "attached_prefix"
ADAPTER = "attached_adapter"  # of any module: a function from hidden states [batch, ..., width] to the same shape
# Of a linear layer: a function from its input [..., in] and its output [..., out] to the changed output.
LOW_RANK = "attached_low_rank"
_HOOK = "adapter_hook"

Attached = Mapping[tuple[nn.Module, str], object]


@contextlib.contextmanager
def attached(parts: Attached) -> Iterator[None]:
    """Within the block, each (module, name) has its value as an attribute of the module; afterwards it is deleted."""
    for (module, name), value in parts.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name in parts:
            delattr(module, name)


def attached_to(block: nn.Module) -> Attached:
    """What is attached to the modules of a block now."""
    return {
        (module, name): module.__dict__[name]
        for module in block.modules()
        for name in (PREFIX, ADAPTER, LOW_RANK)
        if name in module.__dict__
    }


def adapted(adaptation: Adaptation, runs: torch.Tensor) -> contextlib.AbstractContextManager[None]:
    """Within the block, row `i` of a batch passes the adapters and the changed layers of run `runs[i]`; `runs` is
    [batch]."""
    parts = {(module, ADAPTER): partial(one, runs=runs) for module, one in adaptation.adapters.items()}
    parts |= {(module, LOW_RANK): partial(one, runs=runs) for module, one in adaptation.low_rank.items()}
    for module, _ in parts:
        if _HOOK not in module.__dict__:  # registered once and kept: with nothing attached it does nothing
            setattr(module, _HOOK, module.register_forward_hook(_through))
    return attached(parts)


def _through(module: nn.Module, inputs: tuple, output: torch.Tensor | tuple) -> torch.Tensor | tuple:
    change, adapter = module.__dict__.get(LOW_RANK), module.__dict__.get(ADAPTER)
    if change is not None:  # in fp32, as an adapter
        output = change(inputs[0].float(), output.float()).to(output.dtype)
    return output if adapter is None else _behind(output, adapter)


def _behind(output: torch.Tensor | tuple, adapter: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor | tuple:
    """Apply an adapter, in fp32, to a module's output: hidden states, or a tuple that begins with them."""
    if isinstance(output, tuple):
        return (_behind(output[0], adapter), *output[1:])
    return adapter(output.float()).to(output.dtype)
