"""The imports of a process that needs torch."""

import contextlib
import gc
import os
from collections.abc import Iterator

# Rounds, of about 0.1 ms together, in which libgomp's threads wait awake for work. With its own 300,000, two threads of
# training were five times as slow on two cores that other programs used as well.
SPIN = "5000"


@contextlib.contextmanager
def model_imports() -> Iterator[None]:
    """Import torch and what needs it within the block.

    - libgomp, which runs torch's threads on Linux, reads `GOMP_SPINCOUNT` then: `SPIN`, unless the user has set it, or OMP_WAIT_POLICY.
    - The garbage collector is off within the block, and never looks at what was imported: torch and transformers make
      600,000 objects, which stay. To look at them during the imports, during the work and once more at the end of the
      process costs a third of the CPU time of a stage's start.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
