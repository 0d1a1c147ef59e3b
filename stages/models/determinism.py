"""Torch settings that make equal inputs give equal bytes, so that a re-run of a stage changes nothing."""

import os

import torch


def set_determinism(threads: int) -> None:
    """Fix the number of CPU threads, which decides the order of sums, and choose deterministic kernels.

    Bytes are equal only on one kind of processor and with one version of torch; others round differently.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it only
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # slow, and not needed here
