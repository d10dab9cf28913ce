"""What a run saves beside its result where asked: its frames as PNG, or the source with the hole painted over."""

from collections.abc import Iterator
from dataclasses import replace

from propainter.core.errors import OutputError
from propainter.media.encode_spec import plan_encoding
from tasks.encode_video import plan_encode_video
from tasks.output import Output
from tasks.plan import Run


def further_outputs(run: Run, output: Output, *, frames: bool, masked: bool) -> Iterator[tuple[Run, Output]]:
    """Each as a run of its own that shares all stages but the last with `run`: kept, resumed and published as that is.

    They lie in the report's folder, which is ours: nothing of the user's is in their way.

    Raises:
        OutputError: frames are asked for, and the result is a folder of them.
    """
    if frames:
        if output.is_folder:
            raise OutputError(f"{output.path} is a folder of frames already. Leave out --save-frames.")
        place = Output(path=output.report_folder / "frames")
        settings = replace(run.settings.encode_video, codec="png")
        encode = plan_encoding(run.inputs.info, settings, run.inputs.geometry, place.path)
        last = plan_encode_video(run.inputs, run.settings, encode, run.plan)
        yield replace(run, encode=encode, plan={**run.plan, "encode_video": last}), place
    if masked:
        place = Output(path=output.report_folder / f"masked{output.path.suffix}")
        last = plan_encode_video(run.inputs, run.settings, run.encode, run.plan, shown="extract_frames")
        yield replace(run, plan={**run.plan, "encode_video": last}), place
