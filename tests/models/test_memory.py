"""Memory that malloc keeps: the pages of most tensors are not new to the process."""

import subprocess
import sys

import pytest

CODE = """
import resource
import torch
from stages.models.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if {keep}:
    keep_freed_memory()
before = faults()
for _ in range(100):
    torch.ones(2**24)  # 64 MB, 16,384 pages
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone is changed")
def test_the_pages_of_a_freed_tensor_are_used_again():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (True, False)
    )
    assert kept < given_back / 5
