"""A function in a process of its own, with one thread: nothing that ran before is in its times or its memory.

    python -m bench.fresh bench.training ours '{"home": ".bench/...", ...}'

The parent imports no torch. Memory is the peak of the process (of the GPU, if there is one) less what its imports take.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from stages.core.errors import UserError

RESULT = "result: "


def fresh(function: str, **arguments) -> dict:
    """What `module.function` returns for these arguments, with `peak_mb` and `imports_mb`. All of it is JSON."""
    module, name = function.rsplit(".", 1)
    command = [sys.executable, "-m", "bench.fresh", module, name, json.dumps(arguments)]
    settings = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise UserError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(lines[-1].removeprefix(RESULT))


def resident_mb(of: str) -> float:
    """Memory of this process: VmRSS is now, VmHWM its peak (ru_maxrss, without what the parent had when it forked)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{of}:"):
            return int(line.split()[1]) / 1024
    raise UserError("/proc/self/status does not say how much memory this process has")


def main() -> None:
    module, name, arguments = sys.argv[1:]
    function = getattr(importlib.import_module(module), name)
    import torch  # not above: the parent needs none

    torch.set_num_threads(1)
    imports = resident_mb("VmRSS")
    result = function(**json.loads(arguments))
    if torch.cuda.is_available():
        memory = {"imports_mb": 0.0, "peak_mb": torch.cuda.max_memory_allocated() / 2**20}
    else:
        memory = {"imports_mb": imports, "peak_mb": resident_mb("VmHWM")}
    print(RESULT + json.dumps(result | memory))


if __name__ == "__main__":
    main()
