"""Memory that malloc keeps: the pages of a tensor are not new to the process a second time."""

import subprocess
import sys

import pytest

CODE = """
import resource
import torch
from stages.models.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():
    before = faults()
    torch.ones(2**24)  # 64 MB, 16,384 pages
    return faults() - before

if {keep}:
    keep_freed_memory()
fill()
print(fill())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone is changed")
def test_the_pages_of_a_freed_tensor_are_used_again():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (True, False)
    )
    assert kept < 100
    assert given_back > 30, "without the change pages are new, of 4 KB or 2 MB: else it is no longer needed"
