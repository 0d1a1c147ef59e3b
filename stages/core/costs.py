"""What a piece of work costs: seconds, seconds of a core, and peak memory."""

import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MB = 2**20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
_IMPORTED = time.monotonic()
_STAT = Path("/proc/self/stat")
_STATUS, _CLEAR_REFS, _PROCESSORS = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/cpuinfo")


class Gpu(Protocol):
    """What is asked of a GPU. The module `torch.cuda` has these functions; core imports no torch."""

    def synchronize(self) -> None:
        """Wait for all work of the GPU."""

    def reset_peak_memory_stats(self) -> None:
        """Begin a new peak of its memory."""

    def max_memory_allocated(self) -> int:
        """The peak of its memory, in bytes."""


@dataclass(frozen=True)
class Cost:
    """What a piece of work has cost.

    `seconds`: by the clock; `core_seconds`: of a core, by this process and its children that ended; `peak_mb`: the peak
    of this process's resident memory in MB (2**20 bytes); `peak_is_own`: whether that is the peak of this work, or of
    all that the process has done; `gpu_peak_mb`: the peak of the GPU's memory, None without a GPU.
    """

    seconds: float
    core_seconds: float
    peak_mb: float
    peak_is_own: bool
    gpu_peak_mb: float | None


class Meter:
    """Measures the work from its construction on. `cost` can be asked several times.

    A new meter begins a new peak of the process's memory: of two meters at a time only the later knows its own peak.
    """

    def __init__(self, gpu: Gpu | None = None) -> None:
        """`gpu`: if the work is done on one, `torch.cuda`."""
        self._gpu = gpu
        if gpu is not None:
            gpu.synchronize()
            gpu.reset_peak_memory_stats()
        self._peak_is_own = _reset_peak()
        self._seconds, self._core_seconds = time.monotonic(), _core_seconds()

    def cost(self) -> Cost:
        """The cost up to now. Waits for the GPU."""
        if self._gpu is not None:
            self._gpu.synchronize()
        return Cost(
            seconds=time.monotonic() - self._seconds,
            core_seconds=_core_seconds() - self._core_seconds,
            peak_mb=_peak_mb(),
            peak_is_own=self._peak_is_own,
            gpu_peak_mb=None if self._gpu is None else self._gpu.max_memory_allocated() / MB,
        )


def cost_of_process() -> Cost:
    """What this process has cost since it was started: its imports count. The peak is its own or that of its largest
    child that ended, whichever is more."""
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT / MB
    return Cost(_age(), _core_seconds(), max(_peak_mb(), child), peak_is_own=True, gpu_peak_mb=None)


def processor() -> str:
    """The processor's name as Linux gives it, else its architecture."""
    return _field(_PROCESSORS, "model name") or platform.machine()


def _core_seconds() -> float:
    """Seconds of a core, in user and system mode, of this process and its children that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _age() -> float:
    """Seconds since this process was started. Without Linux's /proc: since this module was imported."""
    if not _STAT.exists():
        return time.monotonic() - _IMPORTED
    fields = _STAT.read_text(encoding="utf-8").rpartition(")")[2].split()  # what follows the program's name
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _reset_peak() -> bool:
    """Set the process's peak memory to what it uses now. Returns whether the system allows that, as Linux does."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _peak_mb() -> float:
    """The peak of the resident memory since the last reset, in MB."""
    peak = _field(_STATUS, "VmHWM")
    if peak is not None:
        return int(peak.split()[0]) * 1024 / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / MB


def _field(file: Path, name: str) -> str | None:
    """The value of the first line `<name> : <value>` of a file of /proc; None if there is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in found if key.strip() == name), None)
