"""What the stages take of memory at their peak, beside what propainter/runtime/footprint.py projects.

    python -m benchmarks.probe_memory [--quick] [--device cpu]

The coefficients there were fitted to these figures. Weights are small random numbers and frames drawn here: neither has
to do with memory. Holes cover three quarters of either side, which is 56 % of the frame; for the generator all of it.
One line for each case: stage, engine, size, frames, portion, measured and projected MB, and their ratio. Weights and
what is loaded once are not counted: each network has run before, on the smallest frames that it takes.
"""

import argparse
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from propainter.runtime.peak import peak_growth_bytes, return_freed_memory

return_freed_memory()  # before anything allocates

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from torch import nn  # noqa: E402

from propainter.core.frames import FrameRange  # noqa: E402
from propainter.models.flow_completion import FlowCompletion  # noqa: E402
from propainter.models.generator.network import Generator  # noqa: E402
from propainter.models.raft.network import Raft  # noqa: E402
from propainter.ops.windows import refinement_windows  # noqa: E402
from propainter.runtime import footprint  # noqa: E402
from propainter.runtime.footprint import Footprint, Portion, Stage  # noqa: E402
from propainter.stages.complete_flow import complete_flow  # noqa: E402
from propainter.stages.estimate_flow import estimate_flow  # noqa: E402
from propainter.stages.propagate_pixels import propagate_pixels  # noqa: E402
from propainter.stages.refine_frames import refine_frames, refine_frames_in_windows  # noqa: E402

HOLE_SHARE = 0.5625
SMALL, LARGER = (128, 160), (240, 432)
SMALLEST = Portion()

Network = TypeVar("Network", bound=nn.Module)
Work = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One stage on so many frames, engine propainter but for those of which classical is said."""

    stage: Stage
    sides_px: tuple[int, int]
    frames: int
    portion: Portion = SMALLEST
    classical: bool = False


def quick_cases() -> Iterator[Case]:
    stages: tuple[Stage, ...] = ("estimate_flow", "complete_flow", "propagate_pixels", "refine_frames")
    for stage in stages:
        yield Case(stage=stage, sides_px=SMALL, frames=40, classical=True)
    yield Case(stage="estimate_flow", sides_px=SMALL, frames=3, portion=Portion(at_once=1))
    yield Case(stage="estimate_flow", sides_px=SMALL, frames=4, portion=Portion(at_once=6))
    yield Case(stage="complete_flow", sides_px=SMALL, frames=13, portion=Portion(at_once=1))
    yield Case(stage="complete_flow", sides_px=SMALL, frames=7, portion=Portion(at_once=2))
    yield Case(stage="propagate_pixels", sides_px=SMALL, frames=40)
    yield Case(stage="refine_frames", sides_px=SMALL, frames=7)


def all_cases() -> Iterator[Case]:
    yield from quick_cases()
    stages: tuple[Stage, ...] = ("estimate_flow", "complete_flow", "propagate_pixels", "refine_frames")
    for stage in stages:
        yield Case(stage=stage, sides_px=SMALL, frames=100, classical=True)
        yield Case(stage=stage, sides_px=LARGER, frames=8, classical=True)
    for sides_px, flows in ((LARGER, 2), (LARGER, 6), ((480, 640), 1), ((480, 640), 2)):
        yield Case(
            stage="estimate_flow", sides_px=sides_px, frames=1 + max(1, flows // 2), portion=Portion(at_once=flows)
        )
    yield Case(stage="complete_flow", sides_px=SMALL, frames=31)
    yield Case(stage="complete_flow", sides_px=LARGER, frames=13)
    yield Case(stage="complete_flow", sides_px=LARGER, frames=13, portion=Portion(at_once=2))
    yield Case(stage="propagate_pixels", sides_px=LARGER, frames=16)
    for at_once in (1, 4, 13):
        yield Case(stage="refine_frames", sides_px=SMALL, frames=24, portion=Portion(at_once=at_once))
    yield Case(stage="refine_frames", sides_px=SMALL, frames=60)
    yield Case(stage="refine_frames", sides_px=LARGER, frames=24)
    yield Case(stage="refine_frames", sides_px=LARGER, frames=24, portion=Portion(at_once=13))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small cases alone, as the tests do")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    cases = quick_cases() if options.quick else all_cases()
    cases = (case for case in cases if options.device == "cpu" or not case.classical)
    # Each in a process of its own: what one leaves of the heap in pieces would be measured with the next.
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for line in pool.imap(partial(measure, device=options.device), cases):
            print(line, flush=True)


def measure(case: Case, device: str) -> str:
    projected, work = prepare(case, device)
    measured_bytes = peak_growth_bytes(work, device)
    projected_bytes = projected.device_bytes(case.portion) + (projected.ram_bytes() if device == "cpu" else 0)
    height_px, width_px = case.sides_px
    return (
        f"{case.stage} {'classical' if case.classical else 'propainter'} {width_px}x{height_px} {case.frames} "
        f"{case.portion.at_once} {measured_bytes / 1e6:.1f} {projected_bytes / 1e6:.1f} "
        f"{projected_bytes / measured_bytes:.2f}"
    )


def prepare(case: Case, device: str) -> tuple[Footprint, Work]:
    """What is projected, and the work whose peak is to be measured."""
    height_px, width_px = case.sides_px
    T, H, W = case.frames, height_px, width_px
    frame = footprint.Frame(height_px=H, width_px=W, on_cpu=device == "cpu")
    if case.classical:
        run = _classical(case.stage)
        run(4, 64, 64)
        items = T if case.stage in ("propagate_pixels", "refine_frames") else T - 1
        return footprint.classical(frame, case.stage, items, HOLE_SHARE), lambda: run(T, H, W)
    if case.stage == "estimate_flow":
        raft = _network(Raft, device)
        estimate_flow(_frames(2, 128, 128), raft, iterations=1)
        return footprint.raft(frame, T - 1), lambda: estimate_flow(
            _frames(T, H, W), raft, iterations=2, flows_at_once=case.portion.at_once
        )
    if case.stage == "complete_flow":
        completion = _network(FlowCompletion, device)
        core = slice(5, T - 6) if T > 20 else slice(0, T - 1)
        complete_flow(_Flow(2, 32, 32), _holes(3, 32, 32), completion)
        return footprint.flow_completion(frame, T - 1, core.stop - core.start), lambda: complete_flow(
            _Flow(T - 1, H, W), _holes(T, H, W), completion, core=core, directions_at_once=case.portion.at_once
        )
    if case.stage == "propagate_pixels":
        propagate_pixels(_frames(2, 32, 32), _holes(2, 32, 32), _Flow(1, 32, 32), engine="propainter", device=device)
        return footprint.image_propagation(frame, T), lambda: propagate_pixels(
            _Frames(T, H, W), _holes(T, H, W), _Flow(T - 1, H, W), engine="propainter", device=device
        )
    windows = refinement_windows(T)
    middle = windows[len(windows) // 2]
    generator = _network(Generator, device)

    def refine(T: int, H: int, W: int, windows: Sequence[Any]) -> object:
        hole = np.ones((T, H, W), np.bool_)
        flow = _Flow(T - 1, H, W)
        return refine_frames_in_windows(
            _Propagated(T, H, W), hole, flow, windows, FrameRange(0, T), generator,
            frames_at_once=case.portion.at_once, frames_kept=case.portion.kept,
        )  # fmt: skip

    refine(6, 32, 32, refinement_windows(6)[:1])
    local, references = len(middle.local), len(middle.references)
    return footprint.generator(frame, T, T, local, references), lambda: refine(T, H, W, [middle])


def _classical(stage: str) -> Callable[[int, int, int], object]:
    return {
        "estimate_flow": lambda T, H, W: estimate_flow(_frames(T, H, W)),
        "complete_flow": lambda T, H, W: complete_flow(_flows(T - 1, H, W), _holes(T, H, W)),
        "propagate_pixels": lambda T, H, W: _written(
            propagate_pixels(_Frames(T, H, W), [*_holes(1, H, W)] * T, _Flow(T - 1, H, W))
        ),
        "refine_frames": lambda T, H, W: _written(refine_frames(_Packed(T, H, W))),
    }[stage]


def _written(frames: Iterable[NDArray[np.uint8]]) -> object:
    """Taken one by one, with a few held as are on their way from the disk and to it."""
    return deque(frames, maxlen=8)


def _network(make: Callable[[], Network], device: str) -> Network:
    torch.manual_seed(0)
    network = make()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.01) if parameter.dim() > 1 else parameter.fill_(0.01)
    return network.eval().requires_grad_(False).to(device)


def _frames(T: int, H: int, W: int) -> NDArray[np.uint8]:
    return np.stack([*_Frames(T, H, W)])


def _holes(T: int, H: int, W: int) -> NDArray[np.bool_]:
    hole = np.zeros((T, H, W), np.bool_)
    hole[:, H // 8 : H - H // 8, W // 8 : W - W // 8] = True
    return hole


class _Frames(Sequence[NDArray[np.uint8]]):
    """A soft pattern that moves by a pixel a frame; each made when it is asked for."""

    def __init__(self, frames: int, H: int, W: int) -> None:
        rows, columns = np.mgrid[:H, : W + frames]
        pattern = 128 + 60 * np.sin(rows / 5) * np.cos(columns / 7)
        self._wide = (pattern[..., None] + np.array([-20, 0, 20])).astype(np.uint8)
        self._frames, self._width = frames, W

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._frames:
            raise IndexError(index)
        return self._wide[:, index : index + self._width].copy()


class _Flow(Sequence[NDArray[np.float32]]):
    """The motion of _frames, with a little noise; made when it is asked for."""

    def __init__(self, pairs: int, H: int, W: int) -> None:
        self._pairs, self._sides = pairs, (H, W)

    def __len__(self) -> int:
        return self._pairs

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._pairs:
            raise IndexError(index)
        flow = np.random.default_rng(index).standard_normal((2, 2, *self._sides), np.float32)
        flow *= np.float32(0.05)
        flow[:, 0] += np.array([-1, 1], np.float32)[:, None, None]
        return flow


def _flows(pairs: int, H: int, W: int) -> NDArray[np.float32]:
    """The same as one array."""
    flow = np.empty((pairs, 2, 2, H, W), np.float32)
    for index, pair in enumerate(_Flow(pairs, H, W)):
        flow[index] = pair
    return flow


class _Packed(_Frames):
    """The same with its holes, as propagation may leave them."""

    def __getitem__(self, index: Any) -> Any:
        frame = super().__getitem__(index)
        return np.concatenate((frame, _holes(1, *frame.shape[:2])[0, ..., None].astype(np.uint8)), axis=-1)


class _Propagated(Sequence[NDArray[np.uint8]]):
    """Grey frames that are all hole, made when they are asked for."""

    def __init__(self, frames: int, H: int, W: int) -> None:
        self._frames, self._sides = frames, (H, W)

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._frames:
            raise IndexError(index)
        return np.full((*self._sides, 4), (128, 128, 128, 1), np.uint8)


if __name__ == "__main__":
    main()
