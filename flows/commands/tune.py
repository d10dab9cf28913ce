"""`propainter tune`: the settings for one video on one machine, as a file for --config."""

from pathlib import Path

from flows.commands.terminal import out
from tasks.inspect_inputs import require_files


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

    require_files(video, mask)
    tuning = choose(video, mask, {}, config=config, memory_gb=gpu_memory, devices=devices)
    out.print(tuning.as_yaml(), end="", markup=False, soft_wrap=True)
    return 0
