"""Training data of a few small clips: what lies where, what a second run does, and what a check finds."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import draw_clip, write_frames, write_video

from cache.journal import committed_counts
from cache.layout import FLOW_STEP_PX
from flows.cli import main
from flows.commands import serving
from flows.prepare_training import Summary, prepare_training
from propainter.core.errors import MissingSegmentError, OutputError, SettingsError
from propainter.media.folder import read_rgb
from propainter.models.classical.dis import dis_flow
from tasks.prepare_verify import verify_dataset
from tasks.training_data import evaluation_clips, load, training_samples

pytestmark = pytest.mark.usefixtures("prefect_server")


def make_root(folder: Path) -> Path:
    """A folder of 20 frames, a video of 18, a folder that is too short, and one with a broken picture."""
    frames, _ = draw_clip(20, 60, 80)
    root = folder / "root"
    root.mkdir()
    write_frames(root / "long", frames)
    write_video(root / "film.mkv", frames[:18])
    write_frames(root / "short", frames[:15])
    broken = write_frames(root / "broken", frames[:16]) / "00009.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (root / "test.json").write_text('{"film": 18}')
    return root


def run(root: Path) -> Summary:
    out = str(root.parent / "out")
    return prepare_training(str(root), out, width=64, height=48, settings={"engine": "classical"}, devices="cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Prepared already, into `out` beside it."""
    root = make_root(tmp_path)
    run(root)
    return root


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> tuple[Path, Summary]:
    """The same for tests that change nothing: the folder that root and out are in, and what the run said."""
    folder = tmp_path_factory.mktemp("prepared")
    return folder, run(make_root(folder))


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file outside the store, with its inode and time."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "store" not in path.relative_to(folder).parts
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def changed(before: dict[str, tuple[int, int]], folder: Path) -> set[str]:
    """Clips of which a frame was written again."""
    return {
        path.split("/")[1]
        for path, state in files(folder).items()
        if path.endswith("jpg") and before.get(path) != state
    }


def test_frames_masks_lists_and_flow_are_where_the_released_trainer_and_ours_look(once: tuple[Path, Summary]) -> None:
    folder, summary = once
    out = folder / "out"
    assert (summary.train, summary.test, summary.frames, summary.prepared) == (1, 1, 38, 2)
    assert summary.left_out == {"short": "15 frames; a training sample takes 16."}
    assert summary.failed.keys() == {"broken"}
    assert "00009.png" in summary.failed["broken"]
    assert json.loads((out / "train.json").read_text()) == {"long": 20}
    assert json.loads((out / "test.json").read_text()) == {"film": 18}
    for clip, split, frames in (("long", "train", 20), ("film", "test", 18)):
        numbers = [f"{number:05}" for number in range(frames)]
        assert sorted(path.name for path in (out / "JPEGImages_64_48" / clip).iterdir()) == [
            f"{n}.jpg" for n in numbers
        ]
        assert sorted(path.name for path in (out / f"{split}_masks" / clip).iterdir()) == [f"{n}.png" for n in numbers]
        mask = cv2.imread(str(out / f"{split}_masks" / clip / "00000.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (48, 64)
        assert set(np.unique(mask)) == {0, 255}
    assert names(out / "JPEGImages_64_48") == ["film", "long"]
    listed = json.loads((out / "dataset.json").read_text())
    assert listed["counts"] == {"clips": 2, "train": 1, "test": 1, "frames": 38, "files": 76}
    assert listed["left_out"].keys() == {"short"}
    assert listed["failed"].keys() == {"broken"}

    whole = evaluation_clips(out)
    sample = whole[0]
    pictures = np.stack([read_rgb(path) for path in sorted((out / "JPEGImages_64_48" / "film").iterdir())])
    np.testing.assert_array_equal(sample.frames.numpy(), pictures)
    np.testing.assert_allclose(sample.flow.numpy(), dis_flow(pictures), atol=FLOW_STEP_PX / 2)
    mask = cv2.imread(str(out / "test_masks" / "film" / "00007.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sample.holes[7].numpy(), mask > 0)


def test_a_second_run_makes_nothing_and_a_changed_clip_is_made_anew_alone(root: Path) -> None:
    out = root.parent / "out"
    before = files(out)
    again = run(root)
    assert (again.prepared, again.ready, changed(before, out)) == (0, 2, set())
    assert max(committed_counts(out / "store").values()) == 1

    write_frames_again(root / "long")
    third = run(root)
    assert (third.prepared, third.ready, changed(before, out)) == (1, 1, {"long"})
    assert verify_dataset(out) == ()


def write_frames_again(folder: Path) -> None:
    path = folder / "00004.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))


def test_a_run_that_died_in_the_middle_of_a_clip_goes_on_to_the_same_files(root: Path) -> None:
    out = root.parent / "out"
    whole = {path: (out / path).read_bytes() for path in files(out)}
    (out / "clips" / "long.json").unlink()
    (out / "JPEGImages_64_48" / "long" / "00019.jpg").unlink()
    (out / "JPEGImages_64_48" / "long" / "00018.jpg").write_bytes(b"half")
    assert run(root).prepared == 1
    assert {path: (out / path).read_bytes() for path in files(out)} == whole


def test_a_check_names_everything_that_is_wrong_and_the_next_run_mends_it(root: Path) -> None:
    out = root.parent / "out"
    assert verify_dataset(out) == ()
    frames, masks = out / "JPEGImages_64_48" / "long", out / "train_masks" / "long"
    (frames / "00003.jpg").write_bytes((frames / "00004.jpg").read_bytes())
    (masks / "00000.png").unlink()
    (frames / "stray.jpg").touch()
    (out / "test.json").write_text("{}")
    segments = sorted((out / "store" / "v1" / "estimate_flow").glob("*/*/c.*"))
    for path in segments:
        with path.open("r+b") as file:
            file.seek(30)
            file.write(b"\xff\xff\xff")
    named = {fault.what for fault in verify_dataset(out)}
    assert named == {
        "JPEGImages_64_48/long/00003.jpg", "JPEGImages_64_48/long/stray.jpg", "train_masks/long/00000.png", "test.json",
        *map(str, segments),
    }  # fmt: skip
    with pytest.raises(MissingSegmentError):
        training_samples(out)[0]
    mended = run(root)
    assert (mended.prepared, mended.ready) == (1, 1)
    assert verify_dataset(out) == ()


def test_a_moved_dataset_is_read_and_checked_where_it_is(once: tuple[Path, Summary], tmp_path: Path) -> None:
    shutil.copytree(once[0] / "out", tmp_path / "elsewhere")
    samples = training_samples(tmp_path / "elsewhere")
    assert (len(samples), samples[0].frames.shape) == (1, (16, 48, 64, 3))
    assert verify_dataset(tmp_path / "elsewhere") == ()


def test_a_spawned_worker_makes_the_samples_of_each_epoch(once: tuple[Path, Summary]) -> None:
    samples = training_samples(once[0] / "out", seed=3)
    loader = load(samples, batch_size=1, num_workers=1)
    holes = []
    for epoch in (0, 1):  # the worker lives on
        samples.set_epoch(epoch)
        (batch,) = loader
        for spawned, here in zip(batch, samples[0], strict=True):
            torch.testing.assert_close(spawned[0], here, rtol=0, atol=0)
        holes.append(batch.holes)
    assert not torch.equal(*holes)


def test_the_command_starts_no_server_where_nothing_is_due_and_one_where_flow_is_lacking(
    root: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setattr(serving, "server_home", lambda: root.parent / "server")
    out = root.parent / "out"
    shutil.rmtree(root / "broken")

    def summary() -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main([
                "prepare", str(root), "-o", str(out), "--width", "64", "--height", "48", "--engine", "classical",
                "--devices", "cpu", "--log-format", "json",
            ])  # fmt: skip
        assert ended.value.code == 0
        printed = capsys.readouterr()
        assert {json.loads(line)["event"] for line in printed.err.splitlines()} >= {"planned", "closed"}
        return dict(json.loads(printed.out))

    with monkeypatch.context() as patch:
        patch.setattr(serving, "LocalServer", None)
        said = summary()
        assert (said["prepared"], said["ready"], said["failed"]) == (0, 2, {})
        assert json.loads((out / "dataset.json").read_text())["failed"] == {}
        shutil.rmtree(out / "store" / "v1" / "estimate_flow")
        shutil.rmtree(out / "store" / "v1" / ".segments")
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            main(["prepare", str(root), "-o", str(out), "--width", "64", "--height", "48", "--engine", "classical"])
    assert summary()["ready"] == 2
    assert verify_dataset(out) == ()


def test_what_cannot_be_prepared_is_one_line(
    once: tuple[Path, Summary], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = str(once[0] / "root"), str(once[0] / "out")
    with pytest.raises(SettingsError, match="width is 60"):
        prepare_training.fn(root, out, width=60, height=48)
    with pytest.raises(OutputError, match="height_px is 48, not 56"):
        prepare_training.fn(root, out, width=64, height=56)
    with pytest.raises(OutputError, match="lie in one another"):
        prepare_training.fn(root, f"{root}/out")
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError, match=r"holds no dataset\.json"):
        prepare_training.fn(root, str(tmp_path))
    for arguments in (["prepare", "-o", out], ["prepare", "-o", str(tmp_path), "--verify"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
    assert capsys.readouterr().err.count("error:") == 2


def test_the_loop_in_the_manual_trains(once: tuple[Path, Summary], capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (loop,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for ours, here in (
        ('"data"', f'"{once[0]}/out"'),
        ("batch_size=4", "batch_size=1, num_workers=0"),
        ("(20)", "(2)"),
    ):
        assert ours in loop
        loop = loop.replace(ours, here)
    exec(loop, {"__name__": "__main__"})
    epochs, losses = zip(*(line.split() for line in capsys.readouterr().out.splitlines()), strict=True)
    assert epochs == ("0", "1")
    assert all(float(loss) > 0 for loss in losses)
