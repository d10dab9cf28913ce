"""What a user can set, validated, one section per stage. Frozen: a run is decided before it starts.

Every field is used by its stage, and enters that stage's cache key only where it changes numbers.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from propainter.core.errors import SettingsError

Mode = Literal["inpainting", "outpainting"]
Engine = Literal["auto", "propainter", "classical"]
Precision = Literal["fp32", "fp16", "bf16"]
Codec = Literal["h264", "h265", "ffv1", "prores", "png"]
Storage = Literal["default", "fast", "exact"]
Automatic = Literal["auto", "off"]
Quantize = Literal["off", "int8"]


def seconds_of(clock: str) -> float | None:
    """Seconds of "h:m:s" or "m:s", s with a fraction or not; None where it is not such a time."""
    match = re.fullmatch(r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)", clock)
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SettingsError(message)


def _choice(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    words = ", ".join(choice for choice in allowed if choice)
    _require(value in allowed, f"{name} is {value!r}. Choose from {words}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractFrames:
    """Decoding and the processing size.

    start and end: frames of the source counted from 0, or a time as h:m:s, m:s or with a fraction; end not included.
    max_side: pixels that the longer side is scaled down to where height and width are not given.
    """

    height: int | None = None
    width: int | None = None
    max_side: int | None = None
    resize_ratio: float = 1.0
    start: int | str = 0
    end: int | str | None = None
    save_fps: float = 24.0

    def __post_init__(self) -> None:
        for name in ("height", "width", "max_side"):
            value = getattr(self, name)
            _require(value is None or 0 < value <= 16384, f"{name} is {value}. Give 1 to 16384 pixels.")
        _require(
            0 < self.resize_ratio <= 16, f"resize_ratio is {self.resize_ratio}. Give a factor above 0 and up to 16."
        )
        _require(
            (self.height is None) == (self.width is None),
            "width and height are given one without the other. Give both, or neither.",
        )
        for name in ("start", "end"):
            value = getattr(self, name)
            _require(
                value is None or (isinstance(value, int) and value >= 0) or seconds_of(str(value)) is not None,
                f"{name} is {value!r}. Give a frame counted from 0, or a time as h:m:s.",
            )
        _require(0.01 <= self.save_fps <= 1000, f"save_fps is {self.save_fps}. Give 0.01 to 1000 frames a second.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """How a picture becomes a hole. threshold None: any non-zero pixel of a lossless mask, over 127 of a lossy one."""

    dilation: int = 4
    threshold: int | None = None

    def __post_init__(self) -> None:
        _require(0 <= self.dilation <= 256, f"mask_dilation is {self.dilation}. Give 0 to 256 pixels.")
        _require(
            self.threshold is None or 0 <= self.threshold <= 254,
            f"mask_threshold is {self.threshold}. Give 0 to 254; pixels above it are the hole.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outpainting:
    """Mode outpainting alone: sides of the canvas over those of the frame that is centred on it."""

    scale_h: float = 1.0
    scale_w: float = 1.2

    def __post_init__(self) -> None:
        for name in ("scale_h", "scale_w"):
            value = getattr(self, name)
            _require(1 <= value <= 16, f"{name} is {value}. Give a factor of 1 to 16.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateFlow:
    """Engine propainter alone. Flow stays in fp32 unless asked: half precision shows in it first."""

    raft_iter: int = 20
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        _require(1 <= self.raft_iter <= 100, f"raft_iter is {self.raft_iter}. Give 1 to 100 updates.")
        _choice("flow_precision", self.precision, get_args(Precision))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteFlow:
    """Frames per segment of the two stages that carry something along time."""

    subvideo_length: int = 80

    def __post_init__(self) -> None:
        _require(self.subvideo_length >= 2, f"subvideo_length is {self.subvideo_length}. Give at least 2 frames.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineFrames:
    """Engine propainter alone. neighbor_length: frames refined together; ref_stride: between those that they see.

    quantize: int8 computes the attention's linear layers in whole numbers; experimental, on a CPU in fp32.
    """

    neighbor_length: int = 10
    ref_stride: int = 10
    quantize: Quantize = "off"

    def __post_init__(self) -> None:
        _require(self.neighbor_length >= 2, f"neighbor_length is {self.neighbor_length}. Give at least 2 frames.")
        _require(self.ref_stride >= 1, f"ref_stride is {self.ref_stride}. Give at least 1 frame.")
        _choice("quantize", self.quantize, get_args(Quantize))


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeVideo:
    """The file that comes out. crf None: the codec's own good default."""

    codec: Codec | None = None
    crf: int | None = None
    keep_size: bool = True

    def __post_init__(self) -> None:
        _choice("codec", self.codec, (None, *get_args(Codec)))
        _require(self.crf is None or 0 <= self.crf <= 51, f"crf is {self.crf}. Give 0 (lossless) to 51.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How much may be used. Changes how much is worked on at once and no result, so no cache key holds it.

    fraction: of what is free when a segment starts, in RAM and on each GPU. gpu_gb: of a GPU at most, in GiB.
    """

    fraction: float = 0.8
    gpu_gb: float | None = None

    def __post_init__(self) -> None:
        _require(0 < self.fraction <= 1, f"memory_fraction is {self.fraction}. Give a share above 0 and up to 1.")
        _require(self.gpu_gb is None or self.gpu_gb > 0, f"gpu_memory is {self.gpu_gb}. Give GB above 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that shapes the result.

    cuts: auto finds scene cuts and carries nothing across one. roi: auto works on the surroundings of the holes alone.
    """

    mode: Mode = "inpainting"
    engine: Engine = "auto"
    precision: Precision = "fp32"
    storage: Storage = "default"
    cuts: Automatic = "auto"
    roi: Automatic = "off"
    masks: Masks = field(default_factory=Masks)
    outpainting: Outpainting = field(default_factory=Outpainting)
    extract_frames: ExtractFrames = field(default_factory=ExtractFrames)
    estimate_flow: EstimateFlow = field(default_factory=EstimateFlow)
    complete_flow: CompleteFlow = field(default_factory=CompleteFlow)
    refine_frames: RefineFrames = field(default_factory=RefineFrames)
    encode_video: EncodeVideo = field(default_factory=EncodeVideo)
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        _choice("mode", self.mode, get_args(Mode))
        _require(
            self.mode == "outpainting" or self.outpainting == Outpainting(),
            "scale_h and scale_w have no meaning in mode inpainting. Give --mode outpainting, or leave them out.",
        )
        _choice("engine", self.engine, get_args(Engine))
        _choice("precision", self.precision, get_args(Precision))
        _choice("storage", self.storage, get_args(Storage))
        _choice("cuts", self.cuts, get_args(Automatic))
        _choice("roi", self.roi, get_args(Automatic))
        _require(
            self.refine_frames.quantize == "off" or self.precision == "fp32",
            f"quantize int8 and precision {self.precision} do not go together. Give one of them.",
        )
