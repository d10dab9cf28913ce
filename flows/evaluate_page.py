"""evaluation.html: an evaluation for people; one file that needs no other and no network.

Owns the page: its table, and for each clip a curve of every figure over its frames.
"""

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from flows.evaluate_tables import COLUMNS, Evaluation, cells
from flows.manifest import publish_file
from propainter.metrics.scores import FrameScores

PAGE = "evaluation.html"
_TEMPLATE = Path(__file__).with_name("evaluate.html.template")

_FIGURES: tuple[tuple[str, Callable[[FrameScores], NDArray[np.float64]], str], ...] = (
    ("PSNR dB", lambda scores: scores.psnr_db, ".1f"),
    ("hole PSNR dB", lambda scores: scores.hole_psnr_db, ".1f"),
    ("SSIM", lambda scores: scores.ssim, ".4f"),
    ("E_warp e-3", lambda scores: scores.e_warp * 1e3, ".3f"),
)


def write_page(evaluation: Evaluation, folder: Path) -> Path:
    """Write evaluation.html into `folder`, whole or not at all.

    Raises:
        OutputError: `folder` cannot be written.
    """
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(evaluation.title),
        line=escape(evaluation.line()),
        heads="".join(f'<th class="number">{escape(column)}</th>' for column in COLUMNS),
        rows=_rows(evaluation),
        failed=_failed(evaluation),
        clips="".join(_clip(name, scores) for name, scores in evaluation.clips.items()),
    )
    return publish_file(page.encode("utf-8", "backslashreplace"), folder / PAGE)


def _rows(evaluation: Evaluation) -> str:
    summaries = {name: scores.summary() for name, scores in evaluation.clips.items()}
    rows = [(f"<bdi>{escape(name)}</bdi>", summary) for name, summary in summaries.items()]
    overall = evaluation.summary()
    if overall is not None:
        rows.append(("<b>all</b>", overall))
    return "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(f'<td class="number">{cell}</td>' for cell in cells(summary))
        + "</tr>"
        for name, summary in rows
    )


def _failed(evaluation: Evaluation) -> str:
    items = [f"<bdi>{escape(name)}</bdi> failed: {escape(reason)}" for name, reason in evaluation.failed.items()]
    items += map(escape, evaluation.notes)
    return f'<ul class="notices">{"".join(f"<li>{item}</li>" for item in items)}</ul>' if items else ""


def _clip(name: str, scores: FrameScores) -> str:
    said = cells(scores.summary())[1:]
    curves = "".join(
        _curve(figure, of(scores), form, cell) for (figure, of, form), cell in zip(_FIGURES, said, strict=True)
    )
    return f'<section class="card"><h3><bdi>{escape(name)}</bdi></h3><div class="curves">{curves}</div></section>'


def _curve(figure: str, values: NDArray[np.float64], form: str, said: str) -> str:
    """One figure over the frames, from its least to its greatest value; a frame without one leaves a gap.

    said: what the table says of the clip.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    least, most = float(known.min()), float(known.max())
    across, height = max(len(values) - 1, 1), (most - least) or 1.0
    strokes = ""
    for run in _runs(values):
        points = " ".join(f"{100 * frame / across:.2f},{40 - 40 * (y - least) / height:.2f}" for frame, y in run)
        strokes += f'<polyline points="{points}"/>'
    return (
        f"<figure><figcaption>{escape(figure)}<b>{said}</b></figcaption>"
        f'<svg viewBox="-1 -2 102 44" preserveAspectRatio="none" role="img" aria-label="{escape(figure)} by frame">'
        f'{strokes}</svg><div class="ends"><span>{least:{form}} to {most:{form}}</span></div></figure>'
    )


def _runs(values: NDArray[np.float64]) -> list[list[tuple[int, float]]]:
    """Stretches of (frame, value) without a gap; one of a single frame is drawn as a dot."""
    runs: list[list[tuple[int, float]]] = [[]]
    for frame, value in enumerate(values.tolist()):
        if not math.isnan(value):
            runs[-1].append((frame, value))
        elif runs[-1]:
            runs.append([])
    return [run if len(run) > 1 else [*run, *run] for run in runs if run]
