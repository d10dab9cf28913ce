"""What an evaluation found, as one line, as CSV and as Markdown."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from itertools import zip_longest
from pathlib import Path

from flows.manifest import publish_file
from propainter.metrics.scores import FrameScores, Summary, joined

CLIPS_CSV, FRAMES_CSV, MARKDOWN = "clips.csv", "frames.csv", "evaluation.md"
COLUMNS = ("frames", "PSNR dB", "hole PSNR dB", "SSIM", "E_warp e-3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """title: what was scored. clips: by name. failed: name to reason. notes: one line each. vfid None: not measured."""

    title: str
    ssim_window_px: int
    clips: Mapping[str, FrameScores]
    failed: Mapping[str, str]
    notes: tuple[str, ...]
    vfid: float | None

    def summary(self) -> Summary | None:
        """Over all frames of all clips; None where no clip could be scored."""
        return joined(list(self.clips.values())).summary() if self.clips else None

    def line(self) -> str:
        counted = f"{len(self.clips)} clips" if len(self.clips) != 1 else "1 clip"
        summary = self.summary()
        if summary is None:
            return f"{counted} scored, {len(self.failed)} failed"
        frames, *figures = cells(summary)
        names = ("PSNR", "hole PSNR", f"SSIM (window {self.ssim_window_px})", "E_warp")
        units = (" dB", " dB", "", "e-3")
        said = [f"{name} {cell}{unit}" for name, cell, unit in zip(names, figures, units, strict=True) if cell]
        if self.vfid is not None:
            said.append(f"VFID {self.vfid:.4f}")
        if self.failed:
            said.append(f"{len(self.failed)} failed")
        return f"{counted}, {frames} frames: {', '.join(said)}"


def cells(summary: Summary) -> tuple[str, ...]:
    """The figures of COLUMNS as people read them; empty where there is none."""
    shown = (
        (summary.psnr_db, ".2f"),
        (summary.hole_psnr_db, ".2f"),
        (summary.ssim, ".4f"),
        (summary.e_warp * 1e3, ".3f"),
    )
    return (str(summary.frames), *("" if math.isnan(value) else format(value, form) for value, form in shown))


def write_tables(evaluation: Evaluation, folder: Path) -> None:
    """clips.csv, frames.csv and evaluation.md, each whole or not at all.

    Raises:
        OutputError: `folder` cannot be written.
    """
    publish_file(_csv(_clip_rows(evaluation)).encode(), folder / CLIPS_CSV)
    publish_file(_csv(_frame_rows(evaluation)).encode(), folder / FRAMES_CSV)
    publish_file(markdown(evaluation).encode(), folder / MARKDOWN)


def markdown(evaluation: Evaluation) -> str:
    lines = [f"# {_cell(evaluation.title)}", "", f"{evaluation.line()}.", "", _row("clip", *COLUMNS)]
    lines.append("|---|" + "---:|" * len(COLUMNS))
    lines += [_row(name, *cells(scores.summary())) for name, scores in evaluation.clips.items()]
    summary = evaluation.summary()
    if summary is not None:
        lines.append(_row("**all**", *cells(summary)))
    if evaluation.failed:
        lines += ["", _row("failed", "reason"), "|---|---|"]
        lines += [_row(name, reason) for name, reason in evaluation.failed.items()]
    lines += [f"\n{_cell(note)}" for note in evaluation.notes]
    return _plain("\n".join(lines) + "\n")


def _clip_rows(evaluation: Evaluation) -> Iterable[tuple[object, ...]]:
    yield "clip", "frames", "psnr_db", "hole_psnr_db", f"ssim_{evaluation.ssim_window_px}", "e_warp", "vfid", "failed"
    for name, scores in evaluation.clips.items():
        yield name, *map(_number, astuple(scores.summary())), "", ""
    for name, reason in evaluation.failed.items():
        yield name, *[""] * 6, reason
    summary = evaluation.summary()
    if summary is not None:
        yield "(all)", *map(_number, astuple(summary)), "" if evaluation.vfid is None else _number(evaluation.vfid), ""


def _frame_rows(evaluation: Evaluation) -> Iterable[tuple[object, ...]]:
    """e_warp stands with the first frame of its pair."""
    yield "clip", "frame", "psnr_db", "hole_psnr_db", f"ssim_{evaluation.ssim_window_px}", "e_warp"
    for name, scores in evaluation.clips.items():
        columns = (scores.psnr_db, scores.hole_psnr_db, scores.ssim, scores.e_warp)
        for frame, figures in enumerate(zip_longest(*columns, fillvalue=math.nan)):
            yield name, frame, *map(_number, figures)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"


def _csv(rows: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return _plain(text.getvalue())


def _row(*texts: str) -> str:
    return f"| {' | '.join(_cell(text) for text in texts)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").splitlines())


def _plain(text: str) -> str:
    """Bytes of a file name that are no text become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
