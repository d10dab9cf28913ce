"""How much memory this process holds, over the time of a run.

Owns the measuring; what is drawn from it is the report's.
"""

import threading
import time
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySample:
    """Resident memory at one moment, `seconds` after the sampler was entered."""

    seconds: float
    rss_bytes: int


class MemorySampler:
    """Samples this process's resident memory from a thread while its `with` block runs.

    Holds at most `max_samples`: when they are full every two become their larger one and the pace halves, so that a
    run of any length costs the same and no peak that was seen is lost.
    """

    def __init__(self, *, interval_s: float = 0.5, max_samples: int = 512) -> None:
        self._interval_s = interval_s
        self._max_samples = max_samples
        self._process = psutil.Process()
        self._samples: list[MemorySample] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)
        self._started_s = 0.0

    def __enter__(self) -> Self:
        self._started_s = time.monotonic()
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()

    def sample(self) -> None:
        """Take one sample now, beside those of the thread."""
        rss_bytes = self._process.memory_info().rss
        with self._lock:
            now = MemorySample(seconds=time.monotonic() - self._started_s, rss_bytes=rss_bytes)
            self._samples.append(now)
            if len(self._samples) > self._max_samples:
                pairs = (self._samples[index : index + 2] for index in range(0, len(self._samples), 2))
                self._samples = [max(pair, key=lambda sample: sample.rss_bytes) for pair in pairs]
                self._interval_s *= 2

    @property
    def samples(self) -> tuple[MemorySample, ...]:
        """What was seen, in order of time; the first was taken on entering."""
        with self._lock:
            return tuple(self._samples)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sample()
