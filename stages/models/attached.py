"""What a module of the model holds of an adaptation while a batch passes: its attention's prefix, the adapter behind it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import nn

from stages.models.adaptation import Adaptation

# Of an attention: its keys and values [batch, 2, kv_heads, len, head_dim], and which are seen [batch, len] or None.
PREFIX = "held_prefix"
ADAPTER = "held_adapter"  # of any module: hidden states [batch, ..., width] -> the same
_HOOK = "adapter_hook"

Attached = Mapping[tuple[nn.Module, str], object]


@contextlib.contextmanager
def attached(held: Attached) -> Iterator[None]:
    """Within the block, these modules have these values."""
    for (module, name), value in held.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name in held:
            delattr(module, name)


def attached_to(block: nn.Module) -> Attached:
    """What the modules of a block hold at present."""
    return {
        (module, name): module.__dict__[name]
        for module in block.modules()
        for name in (PREFIX, ADAPTER)
        if name in module.__dict__
    }


def adapted(adaptation: Adaptation, runs: torch.Tensor) -> contextlib.AbstractContextManager[None]:
    """Within the block, row `i` of a batch passes the adapters of run `runs[i]`."""
    for module in adaptation.adapters:
        if _HOOK not in module.__dict__:  # one for good, which does nothing where nothing is held
            setattr(module, _HOOK, module.register_forward_hook(_through))
    return attached({(module, ADAPTER): partial(one, runs=runs) for module, one in adaptation.adapters.items()})


def _through(module: nn.Module, _inputs, output: torch.Tensor | tuple) -> torch.Tensor | tuple:
    held = module.__dict__.get(ADAPTER)
    return output if held is None else _behind(output, held)


def _behind(output: torch.Tensor | tuple, adapter: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor | tuple:
    """A module gives hidden states, or a tuple that begins with them; an adapter computes in fp32."""
    if isinstance(output, tuple):
        return (_behind(output[0], adapter), *output[1:])
    return adapter(output.float()).to(output.dtype)
