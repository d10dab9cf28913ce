"""report.html: what a run did, for people; one file that needs no other and no network.

Owns the page: its pictures, its figures and their words. The record it shows is manifest.py's.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flows.manifest import OutputRecord, RunRecord, StageStats, publish_file
from propainter.runtime.memory import MemorySample

REPORT = "report.html"
_TEMPLATE = Path(__file__).with_name("report.html.template")
_PICTURE_SIDE_PX = 1280
"""Longer sides are shrunk: a page with frames of a film should still go into an e-mail."""
_JPEG_QUALITY = 88
_ENLARGED_AT_MOST = 2
_GREEN = np.array((0, 255, 0), np.float32)
_WAY = (255, 160, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One frame to show. before and after: uint8 RGB (H, W, 3); hole: bool (H, W); time_s: its presentation time.

    region: bool (H, W), the part of it that was worked on; None: all of it was. way: (n, 2), x and y of where the
    region's middle was in each frame; None: it kept its place.
    """

    frame: int
    time_s: float
    before: NDArray[np.uint8]
    hole: NDArray[np.bool_]
    after: NDArray[np.uint8]
    region: NDArray[np.bool_] | None = None
    way: NDArray[np.float64] | None = None


def write_report(record: RunRecord, pictures: Sequence[Moment], folder: Path) -> Path:
    """Write report.html into `folder`, whole or not at all. The moment with the largest hole is shown first.

    Raises:
        OutputError: `folder` cannot be written.
    """
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(_parts(record, pictures))
    return publish_file(page.encode(), folder / REPORT)


def _parts(record: RunRecord, pictures: Sequence[Moment]) -> dict[str, str]:
    output = record.output
    video = next((entry.path for entry in record.inputs if entry.role == "video"), output.path)
    computed, reused, skipped = (
        sum(getattr(stage, f"segments_{what}") for stage in record.stages) for what in ("computed", "reused", "skipped")
    )
    needed = computed + reused
    height_px, width_px = pictures[0].after.shape[:2] if pictures else (1, 1)
    frames = f"{_count(output.frames, 'frame')} of {_size(output)}"
    mode = record.settings.get("mode", "inpainting")
    headline, said = "Inpainted", f"What the mask marks was removed from {frames}"
    hole_said = "The hole is what the mask marks, widened"
    if mode == "outpainting":
        headline, said = "Outpainted", f"What lies around the video was made up in {frames}"
        hole_said = "The hole is what lies around the video"
    if any(picture.way is not None for picture in pictures):
        hole_said = f"Its middle moved along the line. {hole_said}"
    if any(picture.region is not None for picture in pictures):
        hole_said = f"Only the bright part of the frame was worked on. {hole_said}"
    return {
        "title": _text(f"{Path(output.path).name} - {mode} report"),
        "headline": f"{headline} <bdi>{_text(Path(video).name)}</bdi>",
        "sentence": (
            f"{said} in {_duration(record.wall_s)} by the {_text(record.engine)} engine. "
            f"The result is <bdi>{_text(Path(output.path).name)}</bdi>."
        ),
        "hole_said": hole_said,
        "aspect": f"{width_px / height_px:.4f}",
        "limit_px": str(_ENLARGED_AT_MOST * width_px),
        "hero": str(max(range(len(pictures)), key=lambda index: pictures[index].hole.mean(), default=0)),
        "notices": _notices(record.notices),
        "tiles": "".join(
            f'<div class="tile"><b>{value}</b><span class="quiet small">{label}</span></div>'
            for value, label in (
                (_duration(record.wall_s), "from start to end"),
                (f"{output.frames / record.wall_s:.3g}" if needed and not reused else "-", "frames per second"),
                (f"{reused / needed:.0%}" if needed else "-", "of it from the cache"),
                (_bytes(record.peak_memory_bytes), "memory at the peak"),
            )
        ),
        "moments": "".join(map(_moment, pictures)),
        "stages_said": (
            f"{_count(computed, 'segment')} computed, {reused} taken from the cache, "
            f"{skipped} had nothing to do. "
            "Stages overlap, so that their seconds can add up to more than the time that passed."
            f"{_waited(record)}"
        ),
        "stages": _stages(record.stages),
        "memory_said": f"Resident memory of the process over the run; {_bytes(record.peak_memory_bytes)} at the peak.",
        "memory": _curve(record.memory),
        "settings": _settings(record.settings),
        "files": _files(record),
        "ran": _list({
            "engine": record.engine,
            "weights": ", ".join(file.file_name for file in record.weights) or "none",
            "devices": ", ".join(record.devices),
            "started": record.started.isoformat(" ", "seconds"),
            "ended": record.ended.isoformat(" ", "seconds"),
        }),
        "versions": _list(record.versions),
    }  # fmt: skip


def _moment(moment: Moment) -> str:
    green = moment.before * np.float32(0.4) + _GREEN * np.float32(0.6)
    overlaid = np.where(moment.hole[..., None], np.rint(green).astype(np.uint8), moment.before)
    if moment.region is not None:
        overlaid[~moment.region] //= 3
    if moment.way is not None:
        cv2.polylines(overlaid, [np.rint(moment.way).astype(np.int32)], False, _WAY, 1 + overlaid.shape[1] // 640)
    caption = f"<b>{_clock(moment.time_s)}</b><span>frame {moment.frame}</span>"
    images = "".join(
        f'<img src="{_data_uri(picture)}" alt="{what}, frame {moment.frame}">'
        for what, picture in (("Before", moment.before), ("Hole", overlaid), ("After", moment.after))
    )
    at = f"{_middle_percent(moment.hole):.1f}"
    return f'<figure class="moment" data-at="{at}">{images}<figcaption>{caption}</figcaption></figure>'


def _middle_percent(hole: NDArray[np.bool_]) -> float:
    """Where the hole's middle lies from left to right: the edge between before and after starts on the object."""
    columns = np.flatnonzero(hole.any(axis=0))
    middle = (columns[0] + columns[-1] + 1) / 2 / hole.shape[1] if len(columns) else 0.5
    return float(np.clip(100 * middle, 10, 90))


def _data_uri(picture: NDArray[np.uint8]) -> str:
    height_px, width_px = picture.shape[:2]
    shrink = min(1.0, _PICTURE_SIDE_PX / max(height_px, width_px))
    if shrink < 1:
        size = (max(1, round(width_px * shrink)), max(1, round(height_px * shrink)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _notices(notices: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(notice)}</li>" for notice in notices)
    return f'<ul class="notices" aria-label="Notices">{items}</ul>' if items else ""


def _waited(record: RunRecord) -> str:
    if record.waited_share is None:
        return ""
    devices = "The device" if len(record.devices) == 1 else "The devices"
    return f" {devices} waited for {100 * record.waited_share:.0f} % of the time from the first segment to the last."


def _stages(stages: Sequence[StageStats]) -> str:
    longest_s = max((stage.seconds for stage in stages), default=0.0)
    rows = []
    for stage in stages:
        counts = (stage.segments_computed, stage.segments_reused, stage.segments_skipped)
        said = ", ".join(
            f"{count} {word}"
            for count, word in zip(counts, ("computed", "cached", "skipped"), strict=True)
            if count
        )  # fmt: skip
        time = _bar([(stage.seconds, "computed")], longest_s)
        segments = _bar(list(zip(counts, ("computed", "reused", "skipped"), strict=True)), sum(counts))
        rows.append(
            f'<tr><th scope="row">{_text(stage.stage)}</th><td class="bar">{time}</td>'
            f'<td class="number">{stage.seconds:.2f} s</td><td class="bar">{segments}</td>'
            f'<td class="segments">{said or "none"}</td><td class="number bytes">{_bytes(stage.bytes)}</td></tr>'
        )
    return "".join(rows)


def _bar(parts: Sequence[tuple[float, str]], whole: float) -> str:
    """One bar of coloured parts, each (length, colour's name), over a length of `whole`."""
    drawn, start = "", 0.0
    for length, color in parts:
        width = 100 * length / whole if whole > 0 else 0.0
        if width > 0:
            drawn += f'<rect x="{start:.2f}" width="{width:.2f}" height="12" fill="var(--{color})"/>'
        start += width
    return f'<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def _curve(memory: Sequence[MemorySample]) -> str:
    """Memory over time. The line stretches with the page, the words do not: they are laid over it."""
    if len(memory) < 2 or memory[-1].seconds <= 0:
        return '<p class="quiet">The run was too short for a curve.</p>'
    step_bytes = _grid_step(max(sample.rss_bytes for sample in memory))
    lines = max(1, -(-max(sample.rss_bytes for sample in memory) // step_bytes))
    top_bytes, end_s = lines * step_bytes, memory[-1].seconds
    points = " ".join(
        f"{1000 * sample.seconds / end_s:.1f},{100 - 100 * sample.rss_bytes / top_bytes:.2f}" for sample in memory
    )
    first_x = 1000 * memory[0].seconds / end_s
    grid = "".join(
        f'<path d="M0 {100 * line / lines:.2f}H1000" stroke="var(--line)" vector-effect="non-scaling-stroke"/>'
        for line in range(lines + 1)
    )
    labels = "".join(
        f'<span style="top: {100 * line / lines:.2f}%">{_bytes((lines - line) * step_bytes)}</span>'
        for line in range(lines)
    )
    return (
        '<div class="card"><div class="curve"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Memory over the run">{grid}'
        f'<polygon points="{first_x:.1f},100 {points} 1000,100" fill="var(--computed)" opacity=".14"/>'
        f'<polyline points="{points}" fill="none" stroke="var(--computed)" stroke-width="2" '
        f'stroke-linejoin="round" vector-effect="non-scaling-stroke"/></svg>{labels}</div>'
        f'<div class="ends"><span>start</span><span>{_duration(end_s)}</span></div></div>'
    )


def _grid_step(peak_bytes: int) -> int:
    """A round number of binary units that divides the peak into two to four parts."""
    step_bytes = 1
    while peak_bytes > 4 * step_bytes:
        step_bytes *= 2
    return step_bytes


def _settings(settings: Mapping[str, Any]) -> str:
    general = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    sections = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    return "".join(
        f'<div class="card"><h3>{_text(name)}</h3><dl>{_list(values)}</dl></div>'
        for name, values in ({"general": general} | sections).items()
        if values
    )


def _files(record: RunRecord) -> str:
    rows: Iterable[tuple[str, str, str]] = [(entry.role, entry.path, entry.digest) for entry in record.inputs]
    rows = [*rows, ("result", record.output.path, record.output.digest)]
    rows += [
        ("weights", f"{file.file_name} ({file.licence or 'not the released file'})", file.sha256)
        for file in record.weights
    ]
    return "".join(
        f"<dt>{_text(role)}</dt><dd><bdi>{_text(path)}</bdi><br><code>{_text(digest)}</code></dd>"
        for role, path, digest in rows
    )


def _list(values: Mapping[str, Any]) -> str:
    return "".join(f"<dt>{_text(name)}</dt><dd><bdi>{_text(_said(value))}</bdi></dd>" for name, value in values.items())


def _said(value: object) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _text(words: str) -> str:
    """Words from outside, made harmless; bytes of a file name that are no text become escapes."""
    return escape(words.encode("utf-8", "backslashreplace").decode())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(output: OutputRecord) -> str:
    return f"{output.width_px}\N{MULTIPLICATION SIGN}{output.height_px}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def _bytes(count: float) -> str:
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while count >= 1024 and power < len(units) - 1:
        count, power = count / 1024, power + 1
    return f"{count:.0f} {units[power]}" if count >= 10 or not power else f"{count:.1f} {units[power]}"
