import io

from rich.console import Console

from flows.progress import TerminalProgress


def test_a_run_that_is_planned_again_goes_on_with_what_it_lacks_now() -> None:
    console = Console(file=io.StringIO(), width=200)
    progress = TerminalProgress(console, console)
    progress.planned({"refine_frames": 0, "encode_video": 80}, {"refine_frames": 80, "encode_video": 0})
    progress.computed("encode_video", 0, 80)
    progress.planned({"refine_frames": 80, "encode_video": 80}, {"refine_frames": 0, "encode_video": 0})
    progress.computed("refine_frames", 0, 80)
    progress.computed("encode_video", 0, 80)
    progress.finished("out.mp4", "report.html")
    progress.close()
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "80/80 frames" in printed
    assert "160/160 frames" in printed
    assert "out.mp4" in printed


def test_what_the_cache_spared_is_said_once_and_not_again_for_each_further_output() -> None:
    console = Console(file=io.StringIO(), width=200)
    progress = TerminalProgress(console, console)
    for _ in range(3):
        progress.planned({"encode_video": 0}, {"encode_video": 80})
    progress.close()
    assert console.file.getvalue().count("in the cache") == 1  # type: ignore[attr-defined]
