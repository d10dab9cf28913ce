"""Freed memory stays with the process; looked at in a process of its own, which it changes for good."""

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
