"""Settings for a video and a machine: the guide's rules as functions of what was measured, then what fits into memory.

Owns the decisions alone. Measuring is tasks/measure_video.py's; what a setting takes in bytes is the memory plan's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

SUBVIDEO_LENGTH, NEIGHBOR_LENGTH, REF_STRIDE = (
    "complete_flow.subvideo_length",
    "refine_frames.neighbor_length",
    "refine_frames.ref_stride",
)
PRECISION, RESIZE_RATIO, ROI = "precision", "extract_frames.resize_ratio", "roi"

LARGE_PIXELS = 1280 * 720
MANY_FRAMES = 300
SHORT_S, MEDIUM_S = 30, 120
LEAST_NEIGHBORS = 3
LEAST_STRIDE, MOST_STRIDE = 5, 20
LEAST_SUBVIDEO = 30
SUBVIDEO_STEP = 10
REDUCTION = 0.8
"""Of both sides, where a frame is large, and again for each step towards what fits into memory."""

LEAST_RATIO = 0.1

FAST_MOTION, SLOW_MOTION = 0.01, 0.001
"""Of the frame's width, from one frame to the next: 4 px and 0.4 px at 432x240. The guide gives no number."""
GB_BYTES = 2**30
"""What the makers of GPUs, and so the guide, call a GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoMeasures:
    """What the rules ask of a video.

    height_px, width_px: at which it is worked on, at the resize_ratio that the user gave. motion: mean displacement of
    a pixel from one frame to the next over the frame's width. holed_share: of the frames, those with a hole.
    region_px: height and width of what roi auto works on; None where it takes the whole frame. has_mask: without one,
    neither of the two is known.
    """

    frames: int
    seconds: float
    height_px: int
    width_px: int
    motion: float
    resize_ratio: float = 1.0
    has_mask: bool = False
    holed_share: float = 1.0
    region_px: tuple[int, int] | None = None

    @property
    def worked_size_px(self) -> tuple[int, int]:
        """Height and width, once the region is chosen."""
        return self.region_px or (self.height_px, self.width_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """memory_gb: of the device, which the guide's classes go by. has_fp16: half precision is no emulation there."""

    memory_gb: float
    has_fp16: bool


Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One setting by its dotted name, its value, and one line that says why."""

    setting: str
    value: Value
    reason: str


PeakBytes = Callable[[Mapping[str, Value]], int]
"""The memory that a run with these settings takes at its peak, by their dotted names."""


def guide_choices(video: VideoMeasures, machine: Machine) -> tuple[Choice, ...]:
    """The guide's rules, each setting with its reason."""
    return (
        choose_precision(machine),
        choose_roi(video),
        choose_resize_ratio(video),
        choose_subvideo_length(machine),
        choose_neighbor_length(video, machine),
        choose_ref_stride(video, machine),
    )


def choose_precision(machine: Machine) -> Choice:
    if machine.memory_gb >= 16:
        return Choice(setting=PRECISION, value="fp32", reason=f"{_of(machine)}: enough for full precision")
    if not machine.has_fp16:
        return Choice(setting=PRECISION, value="fp32", reason="this device has no fp16 arithmetic")
    return Choice(setting=PRECISION, value="fp16", reason=f"{_of(machine)}: half precision takes less of it")


def choose_subvideo_length(machine: Machine) -> Choice:
    return Choice(setting=SUBVIDEO_LENGTH, value=_by_class(machine, 30, 60, 80), reason=_of(machine))


def choose_neighbor_length(video: VideoMeasures, machine: Machine) -> Choice:
    """By memory, two fewer in a video of many frames, and no more than its duration asks for."""
    value, reason = _by_class(machine, 5, 8, 10), _of(machine)
    if video.frames > MANY_FRAMES:
        value, reason = max(LEAST_NEIGHBORS, value - 2), f"{reason}, 2 fewer for more than {MANY_FRAMES} frames"
    by_duration = 12 if video.seconds < SHORT_S else 8 if video.seconds <= MEDIUM_S else 5
    if by_duration < value:
        value, reason = by_duration, f"a video of {video.seconds:.0f} s"
    return Choice(setting=NEIGHBOR_LENGTH, value=value, reason=reason)


def choose_ref_stride(video: VideoMeasures, machine: Machine) -> Choice:
    """By memory; closer references where much moves, wider ones where little does."""
    value, reason = _by_class(machine, 20, 15, 10), _of(machine)
    moves = f"pixels move by {100 * video.motion:.2g} % of the width a frame"
    if video.motion >= FAST_MOTION:
        value, reason = max(LEAST_STRIDE, value // 2), f"{reason}, half of it as {moves}"
    elif video.motion <= SLOW_MOTION:
        value, reason = min(MOST_STRIDE, value * 2), f"{reason}, up to {MOST_STRIDE} as {moves}"
    return Choice(setting=REF_STRIDE, value=value, reason=reason)


def choose_roi(video: VideoMeasures) -> Choice:
    if not video.has_mask:
        return Choice(setting=ROI, value="off", reason="there is no mask to say where the holes are")
    if video.region_px is None:
        return Choice(setting=ROI, value="off", reason="the holes and their surroundings are most of the frame")
    height_px, width_px = video.region_px
    part = f"{width_px}x{height_px} of {video.width_px}x{video.height_px}"
    return Choice(setting=ROI, value="auto", reason=f"the holes and their surroundings are {part}")


def choose_resize_ratio(video: VideoMeasures) -> Choice:
    height_px, width_px = video.worked_size_px
    size = f"{width_px}x{height_px} to work on"
    if height_px * width_px > LARGE_PIXELS:
        return Choice(setting=RESIZE_RATIO, value=REDUCTION, reason=f"{size}, more pixels than 1280x720")
    return Choice(setting=RESIZE_RATIO, value=1.0, reason=f"{size}, no more pixels than 1280x720")


def fit_into(
    budget_bytes: int, choices: tuple[Choice, ...], peak_bytes: PeakBytes, machine: Machine
) -> tuple[Choice, ...]:
    """Give up what costs least until the projected peak is within the budget.

    In this order: length of the segments, full precision, neighbours, size. What is not among the choices, or has no
    more to give, is left; so the result may still not fit, which the run then refuses with its own numbers.
    """
    chosen = {choice.setting: choice for choice in choices}

    def peak() -> int:
        return peak_bytes({choice.setting: choice.value for choice in chosen.values()})

    now_bytes = peak()
    for setting in (SUBVIDEO_LENGTH, PRECISION, NEIGHBOR_LENGTH, RESIZE_RATIO):
        before, before_bytes = chosen.get(setting), now_bytes
        if before is None:
            continue
        while now_bytes > budget_bytes and (value := _less(chosen[setting], machine)) is not None:
            chosen[setting] = replace(before, value=value)
            now_bytes = peak()
        if now_bytes == before_bytes:  # nothing was given up, or nothing was gained by it
            chosen[setting] = before
        else:
            reason = f"{before.value} would take {_gb(before_bytes)} of memory, with {_gb(budget_bytes)} to use"
            chosen[setting] = replace(chosen[setting], reason=reason)
    return tuple(chosen.values())


def _less(choice: Choice, machine: Machine) -> Value | None:
    """The next smaller value of a setting; None where there is none."""
    value = choice.value
    if choice.setting == PRECISION:
        return "fp16" if value == "fp32" and machine.has_fp16 else None
    number = float(value)
    if choice.setting == SUBVIDEO_LENGTH:
        return int(number) - SUBVIDEO_STEP if number > LEAST_SUBVIDEO else None
    if choice.setting == NEIGHBOR_LENGTH:
        return int(number) - 1 if number > LEAST_NEIGHBORS else None
    smaller = round(number * REDUCTION, 3)
    return smaller if smaller >= LEAST_RATIO else None


def _by_class(machine: Machine, entry: int, mainstream: int, professional: int) -> int:
    return entry if machine.memory_gb < 8 else mainstream if machine.memory_gb < 16 else professional


def _of(machine: Machine) -> str:
    return f"for {machine.memory_gb:.3g} GB of memory"


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / GB_BYTES:.2f} GB"
