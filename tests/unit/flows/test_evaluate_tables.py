import csv
from pathlib import Path

import numpy as np

from flows.evaluate_page import write_page
from flows.evaluate_tables import Evaluation, markdown, write_tables
from propainter.metrics.scores import FrameScores

HOSTILE = '"><script>|a'


def an_evaluation(name: str = "bear", **changes: object) -> Evaluation:
    scores = FrameScores(
        psnr_db=np.array([30.0, 32.0, 34.0]), ssim=np.array([0.9, 0.92, 0.94]),
        hole_error=np.array([255**2, 0.0, 255**2]), hole_values=np.array([100, 0, 100]), e_warp=np.array([1e-3, 3e-3]),
    )  # fmt: skip
    fields = {"title": "results against truth", "ssim_window_px": 65, "clips": {name: scores}, "failed": {},
              "notes": (), "vfid": None} | changes  # fmt: skip
    return Evaluation(**fields)


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text("utf-8").splitlines()))


def test_one_line_tells_it_all() -> None:
    line = an_evaluation(failed={"cat": "3 frames, the truth 4"}, vfid=0.25).line()
    assert line == (
        "1 clip, 3 frames: PSNR 32.00 dB, hole PSNR 20.00 dB, SSIM (window 65) 0.9200, E_warp 2.000e-3, "
        "VFID 0.2500, 1 failed"
    )


def test_where_all_failed_the_line_says_so() -> None:
    assert an_evaluation(clips={}, failed={"cat": "gone"}).line() == "0 clips scored, 1 failed"


def test_the_tables_hold_every_clip_every_frame_and_every_failure(tmp_path: Path) -> None:
    write_tables(an_evaluation(failed={"cat": "3 frames"}), tmp_path)
    assert rows_of(tmp_path / "clips.csv")[1:] == [
        ["bear", "3", "32", "20", "0.92", "0.002", "", ""],
        ["cat", "", "", "", "", "", "", "3 frames"],
        ["(all)", "3", "32", "20", "0.92", "0.002", "", ""],
    ]
    assert rows_of(tmp_path / "frames.csv")[1:] == [
        ["bear", "0", "30", "20", "0.9", "0.001"],
        ["bear", "1", "32", "", "0.92", "0.003"],
        ["bear", "2", "34", "20", "0.94", ""],
    ]
    text = (tmp_path / "evaluation.md").read_text()
    assert "| bear | 3 | 32.00 | 20.00 | 0.9200 | 2.000 |" in text
    assert "| cat | 3 frames |" in text


def test_a_curve_has_a_gap_where_a_frame_has_no_hole(tmp_path: Path) -> None:
    page = write_page(an_evaluation(), tmp_path).read_text()
    assert page.count("<polyline") == 3 + 2
    assert '<polyline points="0.00,40.00 50.00,20.00 100.00,0.00"/>' in page


def test_a_hostile_name_breaks_neither_page_nor_table(tmp_path: Path) -> None:
    evaluation = an_evaluation(HOSTILE, failed={HOSTILE: HOSTILE}, notes=(HOSTILE,), title=HOSTILE)
    assert "<script" not in write_page(evaluation, tmp_path).read_text()
    table = [line for line in markdown(evaluation).splitlines() if line.startswith('| "')]
    assert [line.replace("\\|", "").count("|") for line in table] == [7, 3]


def test_a_name_that_is_no_text_is_written_as_escapes(tmp_path: Path) -> None:
    evaluation = an_evaluation("be\udce4r")
    write_tables(evaluation, tmp_path)
    assert rows_of(tmp_path / "clips.csv")[1][0] == "be\\udce4r"
    assert "be\\udce4r" in write_page(evaluation, tmp_path).read_text()
