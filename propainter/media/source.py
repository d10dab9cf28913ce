"""Opening whatever the user names as a video."""

from pathlib import Path

from propainter.media.folder import ImageFolder
from propainter.media.info import VideoInfo, VideoSource
from propainter.media.video_file import VideoFile

__all__ = ["VideoInfo", "VideoSource", "open_source"]


def open_source(path: Path, *, save_fps: float = 24.0) -> VideoSource:
    """A video file, or a folder of images shown at save_fps.

    Raises:
        MediaError: one line on what is wrong with it.
    """
    return ImageFolder(path, save_fps=save_fps) if path.is_dir() else VideoFile(path)
