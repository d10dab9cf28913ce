"""Work of the compiled library on as many threads as torch takes for its own.

share_out(count, compute)       compute(first, last) for parts of range(count)
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def share_out(count: int, compute: Callable[[int, int], None], *, fewest: int = 1) -> None:
    """Call for parts that make up the range, side by side; calls into C let go of Python's lock.

    fewest: a part should have, so that it is worth a thread.
    """
    threads = torch.get_num_threads()
    parts = min(threads, -(-count // fewest))
    if parts <= 1:
        compute(0, count)
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    for _ in _pool(threads).map(compute, bounds[:-1], bounds[1:]):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="compiled")
