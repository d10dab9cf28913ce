"""Freed memory stays with the process; looked at in a process of its own, which it changes for good."""

import os
import subprocess
import sys

COUNT_FAULTS = """
import resource, numpy as np
from propainter.runtime.allocator import keep_freed_memory, return_blocks_over
assert {call}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(call: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_freed_block_is_used_again_without_clearing_its_pages() -> None:
    assert faults("keep_freed_memory()") < faults("True") / 10


def test_only_blocks_over_the_size_given_are_returned_when_they_are_freed() -> None:
    # Both calls first keep a block of that size from going back; the second then has larger ones returned.
    kept = faults("return_blocks_over(2**25) and keep_freed_memory()")
    returned = faults("keep_freed_memory() and return_blocks_over(2**22)")
    assert kept < returned / 10


HOLD_EVERY_OTHER = """
import os, psutil
from propainter.runtime.allocator import bound_kernel_caches, keep_freed_memory, return_freed_memory
keep_freed_memory()
bound_kernel_caches()
print(os.environ["LRU_CACHE_CAPACITY"], os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"])
blocks = [bytearray(2**20) for _ in range(200)]
del blocks[::2]
before = psutil.Process().memory_info().rss
return_freed_memory()
print((before - psutil.Process().memory_info().rss) // 2**20)
"""


def test_what_lies_free_between_blocks_goes_back_when_asked_and_a_limit_of_the_users_stays() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLD_EVERY_OTHER],
        capture_output=True, text=True, check=True, env={**os.environ, "LRU_CACHE_CAPACITY": "77"},
    )  # fmt: skip
    users, ours, returned_mib = done.stdout.split()
    assert users == "77"
    assert 100 < int(ours) < 1024
    assert int(returned_mib) > 90
