"""Seconds, seconds of a core and peak memory of work that is known."""

import mmap
import os
import platform
import resource
import subprocess
import sys
import time

import pytest

from stages.core import costs
from stages.core.costs import MB, Meter, processor

BUSY = "import time\nwhile time.process_time() < {}: pass"


def test_a_busy_process_needs_a_core_and_a_sleeping_one_none():
    meter = Meter()
    time.sleep(0.3)
    asleep = meter.cost()
    assert 0.3 <= asleep.seconds < 3 and 0 <= asleep.core_seconds < 0.1
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    busy = meter.cost()
    assert 0.3 <= busy.core_seconds - asleep.core_seconds < 0.6
    assert busy.seconds >= 0.6 and busy.gpu_peak_mb is None


def test_children_that_ended_count():
    meter = Meter()
    subprocess.run([sys.executable, "-c", BUSY.format(0.3)], check=True)
    assert 0.3 <= meter.cost().core_seconds < 3


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system does not reset a peak")
def test_each_meter_has_its_own_peak():
    first = Meter()
    with mmap.mmap(-1, 200 * MB) as block:  # not of malloc, which may keep what is freed
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    before = first.cost()
    second = Meter().cost()
    assert before.peak_is_own and second.peak_is_own
    assert 150 < before.peak_mb - second.peak_mb < 250


def test_a_peak_that_cannot_be_reset_is_the_process_s(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "_CLEAR_REFS", tmp_path / "none" / "clear_refs")
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t    3584 kB\n")
    monkeypatch.setattr(costs, "_STATUS", status)
    cost = Meter().cost()
    assert not cost.peak_is_own and cost.peak_mb == 3.5


def test_without_proc_the_peak_is_that_of_getrusage(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "_STATUS", tmp_path / "none")
    unit = 1 if sys.platform == "darwin" else 1024
    assert Meter().cost().peak_mb == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


class FakeGpu:
    """Its work takes 0.2 s, for which it must be waited."""

    waits = 0

    def synchronize(self):
        self.waits += 1
        time.sleep(0.2)

    def max_memory_allocated(self):
        return 3 * MB


def test_a_gpu_is_waited_for():
    gpu = FakeGpu()
    meter = Meter(gpu)
    assert gpu.waits == 1
    cost = meter.cost()
    assert gpu.waits == 2 and cost.gpu_peak_mb == 3.0
    assert 0.2 <= cost.seconds < 0.39, "what it did before the meter does not count"


def test_the_processor_s_name(monkeypatch, tmp_path):
    lines = tmp_path / "cpuinfo"
    lines.write_text("processor\t: 0\nmodel name\t: AMD EPYC: 9B14\n\nprocessor\t: 1\nmodel name\t: other\n")
    monkeypatch.setattr(costs, "_PROCESSORS", lines)
    assert processor() == "AMD EPYC: 9B14"
    lines.write_text("processor\t: 0\n")
    assert processor() == platform.machine()
    monkeypatch.setattr(costs, "_PROCESSORS", tmp_path / "none")
    assert processor() == platform.machine()
