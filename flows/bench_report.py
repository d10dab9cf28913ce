"""What `propainter bench` measured, as tables for the terminal, as data, and as a picture of bars."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from flows.bench import Measurement

REFERENCE = "balanced"
"""The preset whose speed the others' is given in, as the guide does."""

_ROW_PX, _LABEL_PX, _COLUMN_PX, _BAR_PX = 22, 190, 190, 110

_BARS: tuple[tuple[str, Callable[[Measurement], float | None], str], ...] = (
    ("seconds per frame", lambda row: row.seconds_per_frame, ".3f"),
    ("peak memory, GB", lambda row: None if row.peak_bytes is None else row.peak_bytes / 2**30, ".2f"),
    ("hole PSNR, dB", lambda row: row.hole_psnr_db, ".1f"),
    ("hole SSIM", lambda row: row.hole_ssim, ".3f"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """about: one line on clip, engine and machine. refused: why a row is missing, by its name."""

    about: str
    sizes: tuple[Measurement, ...]
    presets: tuple[Measurement, ...]
    refused: dict[str, str]

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def sizes_table(rows: Sequence[Measurement]) -> Table:
    """The guide's first table."""
    table = _table("worked at", "s/frame", "memory")
    for row in rows:
        table.add_row(_worked_at(row), f"{row.seconds_per_frame:.3f}", _gb(row))
    return table


def presets_table(rows: Sequence[Measurement]) -> Table:
    """The guide's second table."""
    table = _table("preset", "worked at", "s/frame", "speed", "memory", "hole dB", "hole SSIM")
    base_s = next((row.seconds_per_frame for row in rows if row.name == REFERENCE), None)
    for row in rows:
        speed = "" if base_s is None else f"{base_s / row.seconds_per_frame:.2f}x"
        table.add_row(
            row.name, _worked_at(row), f"{row.seconds_per_frame:.3f}", speed, _gb(row),
            f"{row.hole_psnr_db:.2f}", f"{row.hole_ssim:.3f}",
        )  # fmt: skip
    return table


def _table(*heads: str) -> Table:
    """Words to the left, numbers to the right."""
    words = ("preset", "worked at")
    return Table(*(Column(head, justify="left" if head in words else "right") for head in heads), box=SIMPLE_HEAD)


def as_svg(bench: Bench) -> str:
    """A line of bars for each row: the longest bar of a column is its greatest value."""
    parts, top_px = [_text(12, 24, bench.about, size_px=12)], 44
    for title, rows in (("Size and precision", bench.sizes), ("Presets", bench.presets)):
        if rows:
            parts.append(_text(12, top_px + 16, title, size_px=15, bold=True))
            for index, (figure, of, form) in enumerate(_BARS):
                left_px = _LABEL_PX + index * _COLUMN_PX
                parts.append(_text(left_px, top_px + 16, figure, size_px=12))
                parts += _bars(left_px, top_px + 26, [of(row) for row in rows], form)
            for index, row in enumerate(rows):
                parts.append(_text(12, top_px + 41 + index * _ROW_PX, row.name, size_px=12))
            top_px += 26 + len(rows) * _ROW_PX + 24
    wide_px = _LABEL_PX + len(_BARS) * _COLUMN_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide_px} {top_px}" width="{wide_px}" '
        f'height="{top_px}" font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#ffffff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _bars(left_px: int, top_px: int, values: Sequence[float | None], form: str) -> list[str]:
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    drawn = []
    for index, value in enumerate(values):
        if value is not None:
            high_px, long_px = top_px + index * _ROW_PX, max(_BAR_PX * value / most, 1)
            drawn.append(f'<rect x="{left_px}" y="{high_px + 4}" width="{long_px:.1f}" height="14" fill="#1f6f8b"/>')
            drawn.append(_text(left_px + long_px + 6, high_px + 15, f"{value:{form}}", size_px=12))
    return drawn


def _text(x_px: float, y_px: float, text: str, *, size_px: int, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x_px:.1f}" y="{y_px}" font-size="{size_px}"{weight} fill="#1c1f21">{escape(text)}</text>'


def _worked_at(row: Measurement) -> str:
    return f"{row.width_px}x{row.height_px} {row.precision}"


def _gb(row: Measurement) -> str:
    return "unknown" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f} GB"
