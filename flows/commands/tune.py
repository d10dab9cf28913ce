"""`propainter tune`: the settings for one video on one machine, as a file for --config."""

from pathlib import Path

from flows.commands.terminal import out
from propainter.core.errors import MaskError, MediaError


def tune(
    video: Path,
    *,
    mask: Path | None = None,
    gpu_memory: float | None = None,
    devices: str = "auto",
    config: Path | None = None,
) -> int:
    """Choose settings for VIDEO, and print them with a reason for each, as YAML that --config takes.

    Parameters
    ----------
    video
        A video file or a folder of images.
    mask
        As inpaint takes it; says where the holes are and how many frames have one.
    gpu_memory
        Of the GPU to choose for, in GB; default this machine's devices.
    devices
        auto, cpu, cuda, or a list as cuda:0,cuda:1.
    config
        YAML file of settings to keep: they are printed too, and not chosen anew.
    """
    from flows.tuning import tune as choose

    if not video.exists():
        raise MediaError(f"There is no video {video}. Give a file, or a folder of images.")
    if mask is not None and not mask.exists():
        raise MaskError(f"There is no mask {mask}. Give an image, a folder of images or a video.")
    tuning = choose(video, mask, {}, config=config, memory_gb=gpu_memory, devices=devices)
    out.print(tuning.as_yaml(), end="", markup=False, soft_wrap=True)
    return 0
