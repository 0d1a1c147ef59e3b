"""Imports of a stage that needs torch, without the cost of garbage collection."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def lasting_imports() -> Iterator[None]:
    """Import within the block what stays until the process ends: the garbage collector never looks at it.

    torch and transformers make 600,000 objects. To look at them during the imports, during the work and once more at
    the end of the process costs a third of the CPU time of a stage's start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
