"""The C library's allocator, told that training asks for the same tensors again at every step."""

import ctypes

_GLIBC_OPTIONS = {-1: 2**31 - 1, -3: 2**25}
"""mallopt's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, in bytes: never shrink, take tensors up to 32 MB (glibc's limit)
from the heap."""


def keep_freed() -> bool:
    """Has the allocator keep what tensors give back, for the rest of the process; False if it is not glibc's.

    By default memory goes back to the system and each step begins with a page fault per 4 KB of activations: several
    thousand faults, 5 to 10 % of a small model's step.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(option, value) == 1 for option, value in _GLIBC_OPTIONS.items())
