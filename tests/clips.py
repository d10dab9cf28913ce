"""Small clips for tests of whole runs: a textured scene that pans, a square that crosses it, its masks."""

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray


def draw_clip(frames: int, height_px: int = 48, width_px: int = 64) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """RGB (T, H, W, 3) and holes (T, H, W): the scene moves by a quarter pixel a frame, the square by one."""
    noise = np.random.default_rng(0).integers(0, 256, (height_px, width_px + frames // 4 + 8, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 2.0)
    scene = cv2.normalize(scene, scene, 0, 255, cv2.NORM_MINMAX)
    clip = np.empty((frames, height_px, width_px, 3), np.uint8)
    holes = np.zeros((frames, height_px, width_px), bool)
    for frame in range(frames):
        shift = np.array([[1, 0, -frame / 4], [0, 1, 0]], np.float32)
        clip[frame] = cv2.warpAffine(scene, shift, (width_px, height_px), borderMode=cv2.BORDER_REFLECT)
        left = frame % (width_px - 12)
        holes[frame, 16:28, left : left + 12] = True
        clip[frame][holes[frame]] = 255
    return clip, holes


def write_video(path: Path, frames: NDArray[np.uint8], codec: str = "ffv1", rate: int = 24) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]  # type: ignore[attr-defined]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"  # type: ignore[attr-defined]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def write_masks(folder: Path, holes: NDArray[np.bool_]) -> Path:
    folder.mkdir()
    for index, hole in enumerate(holes):
        cv2.imwrite(str(folder / f"{index:05}.png"), hole.astype(np.uint8) * 255)
    return folder


def write_frames(folder: Path, frames: NDArray[np.uint8]) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:05}.png"), frame[..., ::-1])
    return folder


def read_frames(folder: Path) -> NDArray[np.uint8]:
    return np.stack([cv2.imread(str(path))[..., ::-1] for path in sorted(folder.glob("*.png"))])
