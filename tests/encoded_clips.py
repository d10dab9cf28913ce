"""Clips for the tests of reading and writing media: any codec, pixel format, frame times, tags and sound."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

MILLISECOND = Fraction(1, 1000)
SOUND_HZ = 48_000


def scene(frames: int, height_px: int = 48, width_px: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth pictures, each unlike every other: RGB (T, H, W, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (frames, height_px, width_px, 3), dtype=np.uint8)
    blurred = [cv2.GaussianBlur(frame, (0, 0), 4) for frame in noise]
    return np.stack([cv2.normalize(frame, frame, 0, 255, cv2.NORM_MINMAX) for frame in blurred])


def write_clip(
    path: Path,
    frames: Sequence[Any],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[int] | None = None,
    time_base: Fraction = MILLISECOND,
    options: dict[str, str] | None = None,
    tags: dict[str, Any] | None = None,
    rotation_deg: float = 0,
    sound_s: float = 0,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode RGB arrays or ready frames; times (default: 25 a second) in units of time_base. Returns path."""
    times = times or [round(number / (25 * time_base)) for number in range(len(frames))]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        first = frames[0] if len(frames) else np.zeros((48, 64, 3), np.uint8)
        stream.height, stream.width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        sound: Any = container.add_stream("aac", rate=SOUND_HZ) if sound_s else None
        container.start_encoding()
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24") if isinstance(frame, np.ndarray) else frame
            picture.pts, picture.time_base = time, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound_s:
            for packet in sound_packets(sound, sound_s):
                container.mux(packet)
    return path


def sound_packets(stream: Any, seconds: float) -> list[Any]:
    """A rising tone."""
    packets = []
    for start in range(0, int(seconds * SOUND_HZ), 1024):
        moments = (np.arange(start, start + 1024) / SOUND_HZ).astype(np.float32)
        wave = 0.2 * np.sin(2 * np.pi * (200 + 100 * moments) * moments).astype(np.float32)
        chunk = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        chunk.sample_rate, chunk.pts = SOUND_HZ, start
        packets += stream.encode(chunk)
    return [*packets, *stream.encode(None)]


def stored_frames(path: Path) -> list[Any]:
    """Every frame of a file's first video stream, decoded from its start to its end."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and payload of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size
        ]  # fmt: skip


def turn_in_header(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Put a display matrix (a, b, c, d of whole turns) into the first track of an mp4 file."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
