"""The bytes that one segment of each stage needs at its peak, from sizes alone; nothing is run.

Coefficients are bytes per pixel of the frame, read off the networks' maps and fitted to what benchmarks/probe_memory.py
measured on a CPU in float32; docs/memory.md has the table. `_MARGIN` covers what the fit leaves: tests hold that what
is measured stays below what is projected, and that above two thirds of it. Of half precision and of GPUs, which were
not measured, it is the sizes of the types alone that speak.
"""

from dataclasses import dataclass, replace
from typing import Literal

Stage = Literal["estimate_flow", "complete_flow", "propagate_pixels", "refine_frames"]

WEIGHTS_BYTES = 500_000_000
"""All three networks in float32, with what a CPU's convolutions make of their kernels."""

_MARGIN = 1.1

_CPU_VOLUMES_BYTES = 64 * 2**20
"""Correlation volumes at once: on a CPU what fits its caches counts more than what fills its cores."""

_CPU_PAIR_BYTES = 2**30
"""Where the volumes of both directions of a pair take more, they are made one after the other."""

_GPU_UNITS_BYTES = 4 * 2**30
"""At once on a GPU: beyond, it is busy anyway, and memory that others could use would buy nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How much of a segment is worked on together: a matter of memory, not of result.

    at_once: flows in RAFT, directions in completion, frames in the generator's transformer.
    kept: frames that stay encoded for the generator's coming windows.
    """

    at_once: int = 1
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What one segment of a stage needs.

    host_bytes: arrays in RAM, whatever the device. The device needs base_bytes, and of the two steps after which
    intermediate results are gone the larger one: rest_bytes, or item_bytes for each item at once. kept_bytes: for each
    kept frame. most: the portion beyond which nothing is gained. least: the smallest that a budget may ask for.
    """

    stage: Stage
    host_bytes: int
    base_bytes: int = 0
    rest_bytes: int = 0
    fixed_bytes: int = 0
    item_bytes: int = 0
    kept_bytes: int = 0
    weights_bytes: int = 0
    most: Portion = Portion()
    least: Portion = Portion()

    def device_bytes(self, portion: Portion) -> int:
        """Projected, on the device where the arithmetic runs, without the weights."""
        items_bytes = self.fixed_bytes + portion.at_once * self.item_bytes
        work_bytes = self.base_bytes + max(self.rest_bytes, items_bytes) + portion.kept * self.kept_bytes
        return int(_MARGIN * work_bytes)

    def ram_bytes(self) -> int:
        """Projected, in RAM, whatever the device."""
        return int(_MARGIN * self.host_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The size of a run's frames, and what a network's numbers take."""

    height_px: int
    width_px: int
    value_bytes: int = 4
    on_cpu: bool = True

    @property
    def pixels(self) -> int:
        return self.height_px * self.width_px

    def values(self, fp32_bytes_per_px: float) -> float:
        """Bytes of maps that are kept in the network's precision."""
        return self.pixels * fp32_bytes_per_px * self.value_bytes / 4


def raft(frame: Frame, pairs: int) -> Footprint:
    """Correlation volumes grow with the fourth power of the sides: cells, an eighth of either side, by cells.

    On a CPU the portion goes by the frame's size alone: sums over more maps round otherwise in their last bits, and a
    run must give the same bits whatever else the machine is doing.
    """
    cells = frame.pixels // 64
    volume_bytes = 4 * cells**2
    item_bytes = int(frame.pixels * 280 + 1.33 * volume_bytes)
    limit = _CPU_VOLUMES_BYTES // volume_bytes if frame.on_cpu else _GPU_UNITS_BYTES // item_bytes
    most = min(2 * pairs, max(2, limit - limit % 2))
    if frame.on_cpu and 2 * volume_bytes > _CPU_PAIR_BYTES:
        most = 1
    return Footprint(
        stage="estimate_flow",
        host_bytes=frame.pixels * (3 * (pairs + 1) + 16 * pairs),
        rest_bytes=frame.pixels * 550 + 1_500_000,
        item_bytes=item_bytes,
        weights_bytes=WEIGHTS_BYTES,
        most=Portion(at_once=most),
        least=Portion(at_once=most if frame.on_cpu else 1),
    )


def flow_completion(frame: Frame, pairs: int, core_pairs: int) -> Footprint:
    """The states of the recurrence, of all pairs; finer maps, of those whose flow is wanted. Twice for two directions.

    pairs: with their context.
    """
    states = frame.values(16) * pairs + frame.values(16) * core_pairs
    return Footprint(
        stage="complete_flow",
        host_bytes=frame.pixels * (16 * core_pairs + pairs + 1),
        item_bytes=int(states + frame.pixels * 495 + 2_000_000),
        weights_bytes=WEIGHTS_BYTES,
        most=Portion(at_once=1 if frame.on_cpu else 2),
    )


def image_propagation(frame: Frame, frames: int) -> Footprint:
    """Of all frames what is propagated waits as 8 bits in RAM; two at a time are numbers with a fraction."""
    return Footprint(
        stage="propagate_pixels", host_bytes=frame.pixels * 5 * frames, base_bytes=frame.pixels * 90 + 800_000
    )


def generator(frame: Frame, frames: int, core_frames: int, local: int, references: int) -> Footprint:
    """One window, whose hole may be the whole frame: encoded, then propagated and decoded frame by frame, or attended.

    frames: those that the segment's windows look at. local, references: of the largest window.
    """
    rows, columns = (-(-side_px // 12) for side_px in (frame.height_px, frame.width_px))
    padded_tokens = -(-rows // 5) * 5 * -(-columns // 9) * 9
    padding = 144 * padded_tokens / frame.pixels
    # What a token of a window with a hole looks at in one frame: the window, around it, and the pooled map.
    seen_tokens = 193 + (-(-rows // 5) * 5 // 4) * (-(-columns // 9) * 9 // 4)
    window = local + references
    item_bytes = int(frame.values(max(110, 0.7 * padding * seen_tokens)))
    most = window if not frame.on_cpu else 1
    return Footprint(
        stage="refine_frames",
        host_bytes=frame.pixels * (frames + 6 * core_frames + 4),
        base_bytes=int(frame.values(65 * window + 32 * local)),
        rest_bytes=int(frame.values(49 * local + 1460) + 10_000_000),
        fixed_bytes=int(frame.values(78 * window * padding) + 20_000_000),
        item_bytes=item_bytes,
        kept_bytes=int(frame.values(32.5)),
        weights_bytes=WEIGHTS_BYTES,
        most=Portion(at_once=max(1, min(most, _GPU_UNITS_BYTES // item_bytes)), kept=max(0, frames - window)),
    )


def classical(frame: Frame, stage: Stage, frames: int, hole_share: float = 1.0) -> Footprint:
    """Engine classical: always in RAM, in one piece.

    frames: or pairs, that are held at a time. hole_share: of the frame, where it is largest.
    """
    per_frame, fixed = {
        "estimate_flow": (20.0, 70),
        "complete_flow": (33.0, 65),
        "propagate_pixels": (1.5 + 30 * hole_share, 75),
        "refine_frames": (0.0, 85),
    }[stage]
    return Footprint(stage=stage, host_bytes=int(frame.pixels * (per_frame * frames + fixed)) + 1_000_000)


def halved(portion: Portion) -> Portion | None:
    """The next smaller one; None where there is none."""
    if portion.at_once > 1:
        return replace(portion, at_once=portion.at_once // 2)
    return replace(portion, kept=portion.kept // 2) if portion.kept else None
