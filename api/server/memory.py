"""Memory of a worker: what is returned to the operating system, and what the garbage collector looks at."""

import ctypes
import gc

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MIB = 1 << 20


def trim() -> None:
    """Call `malloc_trim`: return all free pages to the system. Does nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def return_freed_memory() -> None:
    """Make malloc return large freed blocks to the system at once. Does nothing without glibc.

    By default glibc raises its mmap threshold to the size of the largest freed block, and keeps smaller
    blocks in an arena per thread: after a large picture in each of eight threads, the process would keep
    2 GB for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 4 * MIB)
        mallopt(M_TRIM_THRESHOLD, 32 * MIB)
        mallopt(M_ARENA_MAX, 2)


def freeze_objects() -> None:
    """Have the garbage collector leave out what exists now and is reachable.

    Modules and the model are some 80,000 objects, and to go through them takes 70 ms, during which no thread
    runs Python. They are still freed when nothing refers to them, unless they are part of a cycle.
    """
    gc.collect()
    gc.freeze()
