"""What a run saves beside its result where asked: its frames as PNG, or the source with the hole painted over.

They lie in the report's folder, which is ours: nothing of the user's is in their way.
"""

from collections.abc import Iterator
from dataclasses import replace

from propainter.core.errors import OutputError
from propainter.media.encode_spec import plan_encoding
from tasks.encode_video import plan_encode_video
from tasks.output import Output
from tasks.plan import Run


def further_outputs(run: Run, output: Output, *, frames: bool, masked: bool) -> Iterator[tuple[Run, Output]]:
    """Each as a run of its own that shares all stages but the last with `run`: kept, resumed and published as that is.

    Raises:
        OutputError: frames are asked for, and the result is a folder of them.
    """
    frames_place, masked_place = _places(output)
    if frames:
        if output.is_folder:
            raise OutputError(f"{output.path} is a folder of frames already. Leave out --save-frames.")
        settings = replace(run.settings.encode_video, codec="png")
        encode = plan_encoding(run.inputs.info, settings, run.inputs.geometry, frames_place.path)
        last = plan_encode_video(run.inputs, run.settings, encode, run.plan)
        yield replace(run, encode=encode, plan={**run.plan, "encode_video": last}), frames_place
    if masked:
        last = plan_encode_video(run.inputs, run.settings, run.encode, run.plan, shown="extract_frames")
        yield replace(run, plan={**run.plan, "encode_video": last}), masked_place


def remove_further_outputs(output: Output) -> None:
    """Of an earlier run, before a newer result that they do not belong to takes its place."""
    for place in _places(output):
        place.remove()


def _places(output: Output) -> tuple[Output, Output]:
    """Of the frames, and of the source painted over."""
    folder = output.report_folder
    return Output(path=folder / "frames"), Output(path=folder / f"masked{output.path.suffix}")
