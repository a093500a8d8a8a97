"""How the C library gives memory back: what a burst took must not stay with the process.

Lists and watch messages of some hundred kilobytes come and go. glibc answers the first one that is
freed by raising its thresholds, up to 32 MiB: from then on such blocks are cut from the heap, which
long-lived objects pin, and memory grows with the number of bursts. Fixed thresholds keep them in
mappings of their own (mallopt(3): setting one ends the adjustment).
"""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3), from glibc's malloc.h."""
BYTES = 128 * 1024
"""glibc's own value before it adjusts itself."""


def fix_thresholds() -> bool:
    """Say whether this C library knows these thresholds; then they are fixed from now on."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(which, BYTES) == 1 for which in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
