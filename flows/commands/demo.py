"""`propainter demo`: a first result without a clip of one's own."""

import re
from pathlib import Path

from flows.commands.inpaint import inpaint
from flows.commands.terminal import Cache, console
from propainter.core.errors import OutputError


def demo(folder: Path = Path("demo"), *, cache: Cache = None, keep_server: bool = False) -> int:
    """Make a small clip with sound, remove what moves across it, and say where the result and its report are.

    Parameters
    ----------
    folder
        Where the clip, its masks and the result go.
    keep_server
        Leave the workflow server running afterwards.
    """
    from propainter.media.sample import draw_sample, write_sample

    _require_demo_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    video, masks = write_sample(folder, draw_sample())
    console.print(f"Made {video} and {masks}.", markup=False)
    return inpaint(
        video, mask=masks, output=folder / "result.mp4", engine="classical", cache=cache, keep_server=keep_server
    )


def _require_demo_folder(folder: Path) -> None:
    """The demo replaces what an earlier demo made, and nothing else."""
    ours = ("sample.mp4", "masks", "result.mp4", "result.mp4.report")
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{folder} is a file. Give a folder for the demo.")
        return
    foreign = [path for path in folder.iterdir() if path.name not in ours]
    if (folder / "masks").is_dir():
        foreign += [path for path in (folder / "masks").iterdir() if not re.fullmatch(r"000[0-7]\d\.png", path.name)]
    elif (folder / "sample.mp4").exists():
        foreign.append(folder / "sample.mp4")
    if foreign:
        raise OutputError(f"{foreign[0]} is not the demo's. Give another folder.")
