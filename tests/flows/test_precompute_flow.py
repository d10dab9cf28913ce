"""Flow of whole datasets: what is computed, what a second run pays for, and what a broken clip costs the others."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import cv2
import numpy as np
import pytest
from clips import draw_clip, write_frames, write_masks, write_video

from cache.journal import committed_counts
from cache.layout import FLOW_STEP_PX
from cache.maintenance import verify
from cache.store import Store
from flows import dataset_run
from flows.cli import main
from flows.commands import serving
from flows.configuration import load_settings
from flows.dataset_run import Summary, require_space
from flows.dataset_survey import DatasetSurvey, Request, survey_dataset
from flows.inpaint import inpaint
from flows.precompute_flow import precompute_flow
from propainter.core.errors import DiskFullError, OutputError, SettingsError, StoreError
from propainter.core.frames import FrameRange
from propainter.media.dataset import Clip, files_of, stamp_of
from propainter.media.flo import read_flo
from propainter.models.checkpoints import KNOWN_CHECKPOINTS, RAFT
from propainter.models.raft.network import Raft, flow_both_ways
from propainter.runtime.budget import Budget
from tasks import precompute_flow as compute
from tasks.estimate_flow import SEGMENT_PAIRS, plan_estimate_flow
from tasks.extract_frames import plan_extract_frames
from tasks.inspect_inputs import inspect_inputs
from tasks.look_at_clips import read_frames_of
from tasks.weights import Weights

FRAMES = 6


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three clips of six frames, 64x48, in the layout of YouTube-VOS."""
    frames, _ = draw_clip(FRAMES)
    (tmp_path / "data" / "JPEGImages").mkdir(parents=True)
    for shift, name in enumerate("abc"):
        write_frames(tmp_path / "data" / "JPEGImages" / name, np.roll(frames, shift, axis=2))
    age(tmp_path / "data")
    return tmp_path / "data"


def age(folder: Path, time_s: int = 10**9) -> None:
    """As if nobody had touched it for long: what changed just now is not remembered."""
    for path in folder.rglob("*.*"):
        os.utime(path, (time_s, time_s))


def run(dataset: Path, **more: Any) -> Summary:
    return precompute_flow(root=str(dataset), cache=str(dataset.parent / "cache"), devices="cpu", **more)


def survey(dataset: Path, **more: Any) -> DatasetSurvey:
    request = Request(root=dataset, cache=dataset.parent / "cache", devices="cpu", **more)
    return survey_dataset(request, lambda note: None)


def index_of(dataset: Path) -> dict[str, Any]:
    """What is remembered of the dataset, by clip."""
    for path in (dataset.parent / "cache" / "datasets").iterdir():
        held = json.loads(path.read_text())
        if held["dataset"] == str(dataset):
            return dict(held["clips"])
    raise AssertionError(f"nothing is remembered of {dataset}")


def flow_of(dataset: Path, clip: str) -> np.ndarray[Any, Any]:
    """As it is stored."""
    key = next(work.flow.plan.key for work in survey(dataset).work if work.name == clip)
    return Store(dataset.parent / "cache").read(key, FrameRange(0, FRAMES - 1))


@pytest.mark.usefixtures("prefect_server")
def test_a_second_run_has_nothing_to_do_and_a_third_only_what_changed(dataset: Path) -> None:
    first = run(dataset)
    assert (first.clips, first.new, first.computed, first.segments_computed) == (3, 3, 3, 3)
    again = survey(dataset)
    assert not again.has_work
    assert (again.new, again.changed, again.removed) == ((), (), ())

    frames = dataset / "JPEGImages"
    write_frames(frames / "d", draw_clip(FRAMES)[0] // 2)
    shutil.rmtree(frames / "b")
    cv2.imwrite(str(frames / "c" / "00003.png"), np.zeros((48, 64, 3), np.uint8))
    third = run(dataset)
    assert (third.new, third.changed, third.removed) == (1, 1, 1)
    assert (third.clips, third.computed, third.reused, third.failed) == (3, 2, 1, {})
    assert max(committed_counts(dataset.parent / "cache").values()) == 1
    assert verify(dataset.parent / "cache", quick=False).faults == ()
    assert index_of(dataset)["a"]["flow"] == survey(dataset).work[0].flow.plan.key.digest


@pytest.mark.usefixtures("prefect_server")
def test_a_broken_clip_is_reported_and_stops_nothing(dataset: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    frames = dataset / "JPEGImages"
    ok, jpeg = cv2.imencode(".jpg", draw_clip(1, 480, 640)[0][0])
    assert ok
    (frames / "cut").mkdir()
    for number in range(3):
        content = jpeg.tobytes()
        (frames / "cut" / f"{number}.jpg").write_bytes(content[: len(content) // 2] if number == 1 else content)
    write_frames(frames / "one", draw_clip(1)[0])
    write_frames(frames / "sizes", draw_clip(2)[0])
    cv2.imwrite(str(frames / "sizes" / "00002.png"), np.zeros((32, 32, 3), np.uint8))
    write_frames(frames / "tiny", draw_clip(2, 8, 64)[0])
    (frames / "empty").mkdir()
    age(dataset)
    done = run(dataset)
    assert (done.computed, sorted(done.failed)) == (3, ["cut", "empty", "one", "sizes", "tiny"])
    for name, reason in (
        ("cut", "1.jpg cannot be read as an image"), ("one", "has one frame"), ("sizes", "32x32"),
        ("tiny", "64x8 is too small"), ("empty", "holds no images"),
    ):  # fmt: skip
        assert reason in done.failed[name]
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["precompute-flow"])))
    rows = max(found, key=lambda artifact: artifact.created).data  # type: ignore[arg-type, return-value]
    assert {row["clip"]: row["reason"] for row in json.loads(rows)} == done.failed  # type: ignore[arg-type]

    again = survey(dataset)
    assert not again.has_work
    assert again.failed == done.failed


@pytest.mark.usefixtures("prefect_server")
def test_inpaint_finds_the_flow_that_was_computed_for_the_dataset(tmp_path: Path) -> None:
    frames, _ = draw_clip(20)
    (tmp_path / "data").mkdir()
    video = write_video(tmp_path / "data" / "clip.mkv", frames)
    assert run(tmp_path / "data").segments_computed == 2
    mask = np.zeros((48, 64), np.uint8)
    mask[16:28, 20:40] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    inpainted = inpaint(
        str(video), str(tmp_path / "mask.png"), str(tmp_path / "out.mp4"), cache=str(tmp_path / "cache"), devices="cpu"
    )
    assert inpainted["segments_computed"]["estimate_flow"] == 0
    assert inpainted["segments_computed"]["complete_flow"] == 2


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_flow_that_goes_out_as_files_and_comes_back_is_the_same(dataset: Path, tmp_path: Path, dtype: Any) -> None:
    out = tmp_path / "flo"
    assert run(dataset, export_flo=str(out), flo_dtype=dtype).exported == 3
    stored = flow_of(dataset, "b")
    forward, backward = (read_flo(out / "b" / name) for name in ("00002_00003_f.flo", "00003_00002_b.flo"))
    np.testing.assert_array_equal(np.stack((forward, backward)), stored[2].astype(np.float32) * FLOW_STEP_PX)
    assert len(list((out / "b").glob("*.flo"))) == 2 * (FRAMES - 1)
    assert not survey(dataset, export_flo=out, flo_dtype=dtype).has_work

    age(out)
    imported = run(dataset, import_flo=str(out), export_flo=str(tmp_path / "back"), flo_dtype=dtype)
    assert (imported.computed, imported.exported, imported.failed) == (3, 3, {})
    for path in out.glob("*/*.flo"):
        assert (tmp_path / "back" / path.parent.name / path.name).read_bytes() == path.read_bytes()
    assert not survey(dataset, import_flo=out).has_work


def test_a_folder_of_flow_that_does_not_fit_its_clip_is_a_fault_of_that_clip_alone(
    dataset: Path, tmp_path: Path
) -> None:
    for name, files in (("a", 2 * (FRAMES - 1)), ("b", 4), ("c", 0)):
        (tmp_path / "flo" / name).mkdir(parents=True)
        for number in range(files):
            (tmp_path / "flo" / name / f"{number}.flo").write_bytes(b"PIEH" + b"\x02\0\0\0" * 2 + bytes(16))
    found = survey(dataset, import_flo=tmp_path / "flo")
    assert [work.name for work in found.work] == ["a"]
    assert "holds flow for 3 frames, and the clip has 6" in found.failed["b"]
    assert "holds no .flo files" in found.failed["c"]


def test_files_that_others_made_are_not_replaced(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "flo" / "b").mkdir(parents=True)
    found = survey(dataset, export_flo=tmp_path / "flo")
    assert [work.name for work in found.work] == ["a", "c"]
    assert "was not exported by this program" in found.failed["b"]


@pytest.mark.usefixtures("prefect_server")
def test_a_clip_whose_flow_is_too_large_for_the_type_is_kept_as_float32_and_stays_so(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = compute.stage
    first_of_b = cv2.imread(str(dataset / "JPEGImages" / "b" / "00000.png"))[..., ::-1]

    def far(frames: Any, *arguments: Any, **more: Any) -> Any:
        flow = stage(frames, *arguments, **more)
        return flow + 600 if np.array_equal(frames[0], first_of_b) else flow

    monkeypatch.setattr(compute, "stage", far)
    assert run(dataset).computed == 3
    assert [flow_of(dataset, name).dtype for name in "abc"] == [np.int16, np.float32, np.int16]
    assert not survey(dataset).has_work


@pytest.mark.usefixtures("prefect_server")
def test_what_another_clip_would_not_survive_either_ends_the_run_and_keeps_what_is_done(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write

    def full(store: Store, key: Any, segment: int, array: Any) -> bool:
        if len(committed_counts(store.root)) == 2:
            raise DiskFullError("no space left")
        return write(store, key, segment, array)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(DiskFullError):
        run(dataset, num_workers=1)
    monkeypatch.undo()
    assert [work.name for work in survey(dataset).work if work.missing] == ["c"]


def test_a_list_narrows_and_names_what_it_does_not_find(dataset: Path, tmp_path: Path) -> None:
    write_video(dataset / "JPEGImages" / "film.mkv", draw_clip(3)[0])
    (tmp_path / "train.json").write_text('{"c": 6, "film": 3, "lost": 6}')
    found = survey(dataset, only=tmp_path / "train.json")
    assert [work.name for work in found.work] == ["c", "film.mkv"]
    assert found.failed.keys() == {"lost"}
    assert found.removed == ()


def test_a_long_clip_is_spread_over_several_tasks(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "long.mkv", draw_clip(300)[0])
    (work,) = survey(tmp_path / "data").work
    assert [len(segments) for segments in compute.shares_of(work.missing)] == [8, 8, 3]
    assert list(compute.shares_of((0, 1, 4, 5))) == [(0, 1), (4, 5)]


def test_each_frame_is_decoded_once_and_each_segment_is_what_inpaint_would_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, _ = draw_clip(36)
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "clip.mkv", frames)
    found = survey(tmp_path / "data")
    decoded: list[int] = []
    extract = compute.extract_frames

    def counted(read: Any, geometry: Any) -> Any:
        decoded.append(len(read))
        return extract(read, geometry)

    monkeypatch.setattr(compute, "extract_frames", counted)
    (work,) = found.work
    share = compute.Share(
        flow=work.flow, segments=work.missing, cache=found.cache, devices=("cpu",), weights=None
    )  # fmt: skip
    compute.precompute_flow.fn(share)
    assert decoded == [17, 16, 3]
    stored = Store(found.cache).read(work.flow.plan.key, FrameRange(16, 32))
    np.testing.assert_array_equal(stored, np.rint(64 * compute.stage(frames[16:33])).astype(np.int16))


def test_a_clip_that_changes_while_it_is_read_is_not_committed(dataset: Path) -> None:
    found = survey(dataset)
    os.utime(dataset / "JPEGImages" / "a" / "00000.png", (5, 5))
    share = compute.Share(
        flow=found.work[0].flow, segments=(0,), cache=found.cache, devices=("cpu",), weights=None
    )  # fmt: skip
    with pytest.raises(compute.MediaError, match="was changed while"):
        compute.precompute_flow.fn(share)
    assert committed_counts(found.cache) == {}


def test_what_will_not_fit_is_refused_with_numbers_before_any_work(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 3 * (FRAMES - 1) * 2 * 2 * 48 * 64 * 2 // 2  # clips, pairs, directions, dx dy, sides, int16, compressed
    require_space(survey(dataset, cache_size_bytes=needed))
    with pytest.raises(StoreError, match=r"adds 0\.000184 GB"):
        require_space(survey(dataset, cache_size_bytes=needed - 1))
    monkeypatch.setattr(dataset_run, "room", lambda folder: 200_000)  # for both: flow and files are on one disk
    with pytest.raises(OutputError, match=r"take 0\.000369 GB, and .*flo has 1\.57e-05 GB for them"):
        require_space(survey(dataset, export_flo=tmp_path / "flo"))


@pytest.mark.parametrize(
    ("more", "message"),
    [({"settings": {"extract_frames": {"start": 3}}}, "start, end"), ({"num_workers": 0}, "num_workers is 0")],
)
def test_what_has_no_meaning_for_a_dataset_is_refused(dataset: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        survey(dataset, **more)


def test_with_raft_too_a_clip_has_the_entry_that_inpaint_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, holes = draw_clip(3, 128, 136)
    (tmp_path / "data").mkdir()
    video = write_video(tmp_path / "data" / "clip.mkv", frames)
    weights = Weights(folder=tmp_path, digests=((RAFT.file_name, "0123"),), verified=False)
    settings = load_settings({"engine": "propainter", "estimate_flow": {"raft_iter": 1}})
    inputs = inspect_inputs(video, write_masks(tmp_path / "masks", holes), settings)
    plan = {"extract_frames": plan_extract_frames(inputs, settings)}
    expected = plan_estimate_flow(inputs, settings, weights, plan)

    clip = Clip(name="clip.mkv", path=video)
    flow = compute.plan_clip(clip, read_frames_of(clip), stamp_of(files_of(clip)).text, weights, settings)
    assert flow.plan.key == expected.key

    network = Raft()
    monkeypatch.setattr(compute.networks, "raft", lambda weights, device, precision: network)
    share = compute.Share(flow=flow, segments=(0,), cache=tmp_path / "cache", devices=("cpu",), weights=weights)
    compute.precompute_flow.fn(share)
    stored = Store(tmp_path / "cache").read(flow.plan.key, FrameRange(0, 2))
    # The memory plan does both pairs at once, and sums of other sizes round otherwise in their last bits.
    expected_px = flow_both_ways(network, frames, iterations=1, flows_at_once=4)
    np.testing.assert_array_equal(stored, np.rint(64 * expected_px).astype(np.int16))


def test_raft_encodes_each_frame_of_a_task_once_and_segments_stay_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(name="clip.mkv", path=write_video(tmp_path / "clip.mkv", draw_clip(SEGMENT_PAIRS + 3, 128, 128)[0]))
    weights = Weights(folder=tmp_path, digests=((RAFT.file_name, "0123"),), verified=False)
    settings = load_settings({"engine": "propainter", "storage": "exact", "estimate_flow": {"raft_iter": 1}})
    flow = compute.plan_clip(clip, read_frames_of(clip), stamp_of(files_of(clip)).text, weights, settings)
    network, encoded = Raft(), []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda frames: encoded.append(len(frames)) or encode(frames))
    monkeypatch.setattr(compute.networks, "raft", lambda weights, device, precision: network)

    def flow_of(name: str, *shares: tuple[int, ...]) -> Any:
        for segments in shares:
            share = compute.Share(
                flow=flow, segments=segments, cache=tmp_path / name, devices=("cpu",), weights=weights
            )
            compute.precompute_flow.fn(share)
        return Store(tmp_path / name).read(flow.plan.key, FrameRange(0, SEGMENT_PAIRS + 2))

    together = flow_of("together", (0, 1))
    assert sum(encoded) == SEGMENT_PAIRS + 3
    np.testing.assert_array_equal(together, flow_of("apart", (0,), (1,)))
    assert sum(encoded) == 2 * (SEGMENT_PAIRS + 3) + 1


def test_two_clips_are_computed_on_two_devices_at_the_same_time(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Weights(folder=tmp_path, digests=((RAFT.file_name, "0123"),), verified=False)
    together, used = Barrier(2, timeout=20), []

    def estimate(frames: Any, device: str, *, iterations: int, **_: object) -> Any:
        together.wait()  # breaks where one clip waits for the other's device
        used.append(device)
        return np.zeros((len(frames) - 1, 2, 2, *frames.shape[1:3]), np.float32)

    monkeypatch.setattr(compute.networks, "raft", lambda weights, device, precision: device)
    monkeypatch.setattr(compute, "stage", estimate)
    monkeypatch.setattr("tasks.memory.budget_for", lambda *_, **__: Budget(ram_bytes=2**40, device_bytes=2**40))
    shares = [
        compute.Share(flow=work.flow, segments=(0,), cache=tmp_path / "cache", devices=("one", "two"), weights=weights)
        for work in survey(dataset).work[:2]
    ]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(compute.precompute_flow.fn, shares))
    assert sorted(used) == ["one", "two"]


def test_a_clip_too_small_for_raft_says_how_to_go_on(dataset: Path, tmp_path: Path) -> None:
    for checkpoint in KNOWN_CHECKPOINTS:
        (tmp_path / checkpoint.file_name).write_bytes(b"own")
    found = survey(dataset, weights=tmp_path, verify_weights=False)
    assert found.work == ()
    assert "64x48 is too small for the optical flow network" in found.failed["a"]
    assert "--engine classical" in found.failed["a"]


def flows(dataset: Path, *options: str) -> int | str | None:
    """The command's exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["flows", "--root_path", str(dataset), "--save_path", str(dataset.parent / "cache"), *options])
    return ended.value.code


@pytest.mark.usefixtures("prefect_server")
def test_the_command_ends_with_3_where_a_clip_failed_and_starts_no_server_for_nothing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prefect_server: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setattr(serving, "server_home", lambda: dataset.parent / "server")
    assert flows(dataset, "--num_workers", "2", "--height", "32", "--width", "48") == 0
    assert "3 clips: 3 computed" in capsys.readouterr().out

    write_frames(dataset / "JPEGImages" / "one", draw_clip(1)[0])
    monkeypatch.setattr(serving, "LocalServer", None)
    assert flows(dataset, "--height", "32", "--width", "48") == 3
    printed = capsys.readouterr().out
    assert "4 clips: 0 computed, 3 in the cache already, 0 exported, 1 failed" in printed
    assert "has one frame" in " ".join(printed.split())
