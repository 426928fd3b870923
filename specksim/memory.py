"""How a process keeps the memory that it has freed."""

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES, _LARGEST_BYTES = 128 << 20, 32 << 20


@functools.cache
def keep_freed_memory() -> None:
    """Keep up to 128 MB that arrays have freed for the next ones, where the system's library can do that.

    Every pair needs the same arrays of a few MB. Given back and asked for again they come as fresh pages,
    which the system has to map and to clear: up to a third of the time of a pair.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
