"""How the C library keeps memory that the service has freed."""

import ctypes

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MIB = 1 << 20


def trim() -> None:
    """Give the system back the freed pages between blocks in use; other C libraries are left alone."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def return_freed_memory() -> None:
    """Have glibc give large freed blocks back to the system at once; other C libraries are left alone.

    By default it raises the size from which it does so to that of the largest block freed, and keeps
    what is smaller in an arena of each thread: after a large picture in each of eight threads, two
    gigabytes stay with the process for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 4 * MIB)
        mallopt(M_TRIM_THRESHOLD, 32 * MIB)
        mallopt(M_ARENA_MAX, 2)
