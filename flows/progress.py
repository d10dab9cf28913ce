"""What a run tells its user while it goes. The flow speaks; the command line, or a log, listens."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TextIO

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn

logger = logging.getLogger("propainter")


class Progress(Protocol):
    """Listener to one run."""

    def planned(self, to_compute: Mapping[str, int], reused: Mapping[str, int]) -> None:
        """Frames that each stage will compute, and those that the cache already holds."""

    def computed(self, stage: str, segment: int, frames: int) -> None:
        """One more segment is committed."""

    def note(self, text: str) -> None:
        """One line that the user should read."""

    def finished(self, output: str, report: str) -> None:
        """The result and its report are in place."""

    def close(self) -> None:
        """The run has ended, one way or another."""


class LogProgress:
    """For workers and scheduled runs: lines in the log."""

    def finished(self, output: str, report: str) -> None:
        logger.info("%s is finished; %s tells of it", output, report)

    def close(self) -> None:
        pass

    def planned(self, to_compute: Mapping[str, int], reused: Mapping[str, int]) -> None:
        for stage, frames in to_compute.items():
            logger.info("%s: %d frames to compute, %d in the cache", stage, frames, reused[stage])

    def computed(self, stage: str, segment: int, frames: int) -> None:
        logger.info("%s: segment %d, %d frames", stage, segment, frames)

    def note(self, text: str) -> None:
        logger.warning(text)


class TerminalProgress:
    """A bar over all stages: what is being done, how fast, and what the cache spared."""

    def __init__(self, console: Console, out: Console) -> None:
        self._out = out
        self._bar = rich.progress.Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._stages: dict[str, TaskID] = {}
        self._begin_s: float | None = None

    def planned(self, to_compute: Mapping[str, int], reused: Mapping[str, int]) -> None:
        if self._begin_s is None:  # later plans lean on what this run itself has just computed
            self._begin_s = time.monotonic()
            if any(reused.values()):
                all_of_it = not any(to_compute.values())
                said = "All of it is in the cache." if all_of_it else f"From the cache: {_listed(reused)}."
                self._bar.console.print(said, soft_wrap=True)
        for stage, frames in to_compute.items():
            if stage in self._stages:  # planned again, after a segment was found broken
                task = self._stages[stage]
                self._bar.update(task, total=self._bar.tasks[task].completed + frames)
            elif frames:
                self._stages[stage] = self._bar.add_task(stage, total=frames, rate="")
        if self._stages:
            self._bar.start()

    def computed(self, stage: str, segment: int, frames: int) -> None:
        task = self._stages[stage]
        self._bar.advance(task, frames)
        assert self._begin_s is not None, "planned comes first"
        seconds = time.monotonic() - self._begin_s
        done = self._bar.tasks[task].completed
        self._bar.update(task, description=f"{stage} {segment}", rate=f"{done / max(seconds, 1e-3):.1f}/s")

    def note(self, text: str) -> None:
        self._bar.console.print(text, style="yellow", markup=False, soft_wrap=True)

    def finished(self, output: str, report: str) -> None:
        self._out.print(f"{output}\n{report}", markup=False, soft_wrap=True)

    def close(self) -> None:
        if self._bar.live.is_started:
            self._bar.stop()


class JsonProgress:
    """One JSON object a line, for programs that watch."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def planned(self, to_compute: Mapping[str, int], reused: Mapping[str, int]) -> None:
        self._write(event="planned", frames_to_compute=dict(to_compute), frames_reused=dict(reused))

    def computed(self, stage: str, segment: int, frames: int) -> None:
        self._write(event="computed", stage=stage, segment=segment, frames=frames)

    def note(self, text: str) -> None:
        self._write(event="note", text=text)

    def finished(self, output: str, report: str) -> None:
        self._write(event="finished", output=output, report=report)

    def close(self) -> None:
        self._write(event="closed")

    def _write(self, **fields: object) -> None:
        self._stream.write(json.dumps(fields) + "\n")
        self._stream.flush()


def _listed(frames: Mapping[str, int]) -> str:
    return ", ".join(f"{count} frames of {stage}" for stage, count in frames.items() if count)


_listener: ContextVar[Progress] = ContextVar("progress", default=LogProgress())  # noqa: B039 - it holds no state


def progress() -> Progress:
    """The listener of the run that this thread belongs to."""
    return _listener.get()


@contextmanager
def listening(listener: Progress) -> Iterator[None]:
    """Within this block, runs tell `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        listener.close()
        _listener.reset(token)
