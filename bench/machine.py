"""On what, and with what, it was measured."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def facts() -> dict:
    processor = next(
        (line.split(": ", 1)[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = {name: _version(name) for name in ("torch", "transformers", "peft")}
    return {
        "processor": processor, "cores": os.cpu_count(), "memory_gb": round(memory), "gpu": gpu,
        "python": platform.python_version(), **versions,
    }  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # peft, on a machine that runs our side alone
        return None
