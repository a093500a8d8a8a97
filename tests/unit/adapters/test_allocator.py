"""Blocks of bursts stay out of the heap."""

import subprocess
import sys

# In a process of its own: thresholds cannot be given back.
CHILD = """
import ctypes
import sys
from agentsystem_operator.adapters import allocator

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "fixed":
    assert allocator.fix_thresholds()
libc.free(libc.malloc(1 << 20))
before = libc.mallinfo2().hblks
libc.malloc(1 << 19)
print(libc.mallinfo2().hblks - before)
"""


def mappings_for_a_block_after_a_larger_one(thresholds: str) -> int:
    command = [sys.executable, "-c", CHILD, thresholds]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_block_as_large_as_one_that_was_freed_is_a_mapping_of_its_own() -> None:
    assert mappings_for_a_block_after_a_larger_one("fixed") == 1
    assert mappings_for_a_block_after_a_larger_one("as they come") == 0
