"""Portions of a segment: as large as the budget allows, and smaller where memory ran out all the same."""

import threading
from collections.abc import Callable
from typing import TypeVar

from propainter.core.errors import MemoryBudgetError
from propainter.runtime.budget import Budget, in_words
from propainter.runtime.footprint import Footprint, Portion, halved

T = TypeVar("T")

_SAID_BY_ALLOCATORS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")


class MemoryPlan:
    """What was learned of each device and stage: the largest portion that it is still asked to do."""

    def __init__(self) -> None:
        self._most: dict[tuple[str, str], Portion] = {}
        self._lock = threading.Lock()

    def portion(self, footprint: Footprint, budget: Budget, device: str) -> Portion:
        """The portion to begin with; the smallest where none fits any more, for what is free now may be free again."""
        portion = budget.largest_portion(footprint) or footprint.least
        with self._lock:
            learned = self._most.get((device, footprint.stage), portion)
        return Portion(at_once=min(portion.at_once, learned.at_once), kept=min(portion.kept, learned.kept))

    def run(
        self, work: Callable[[Portion], T], footprint: Footprint, budget: Budget, device: str
    ) -> tuple[T, tuple[str, ...]]:
        """Do a segment's work with the largest portion, then with halves of it for as long as memory runs out.

        Returns:
            What work returned, and a remark for the user for each time that this process learned something.

        Raises:
            MemoryBudgetError: memory ran out with the smallest portion.
        """
        portion = self.portion(footprint, budget, device)
        notices: list[str] = []
        while True:
            try:
                return work(portion), tuple(notices)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
            # Outside the handler, whose traceback holds what the work had allocated.
            smaller = halved(portion)
            if smaller is None:
                needed_bytes = footprint.ram_bytes() + footprint.device_bytes(portion) + footprint.weights_bytes
                raise MemoryBudgetError(
                    f"{footprint.stage} ran out of memory on {device} with as little at once as it can, where "
                    f"{in_words(needed_bytes)} was expected. Give --resize-ratio under 1, or end what else uses it."
                )
            _give_back(device)
            notices.append(
                f"{footprint.stage} ran out of memory on {device}: from now on it works on half as much at once."
            )
            with self._lock:
                self._most[device, footprint.stage] = portion = smaller


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch says it by its own class on a GPU, and in so many words on a CPU."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _SAID_BY_ALLOCATORS)


def _give_back(device: str) -> None:
    """Let go of the pool of blocks whose sizes the smaller portion has no use for."""
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()
