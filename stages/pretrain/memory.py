"""Memory that a step gives back, kept for the next one."""

import ctypes

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed() -> None:
    """Tell glibc to serve large blocks from its heap and to keep what is freed; nothing where the C library differs.

    Else every tensor of some megabytes is mapped, zeroed page by page and unmapped again in each step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
