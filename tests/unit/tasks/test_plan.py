"""What a change reaches, segment by segment: the digests of a whole plan before and after it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from flows.inpaint import plan_stages
from propainter.core.frames import FrameRange
from propainter.core.geometry import Geometry
from propainter.core.settings import CompleteFlow, EncodeVideo, Outpainting, Settings
from propainter.media.colour import Colour
from propainter.media.encode_spec import plan_encoding
from propainter.media.info import VideoInfo
from propainter.models.checkpoints import KNOWN_CHECKPOINTS
from tasks.plan import Inputs, Plan, StagePlan, demand
from tasks.weights import Weights

FRAMES = 400


def inputs_of(holes: dict[int, str], content: str = "video", frames: int = FRAMES, start: int = 0) -> Inputs:
    """A clip with a hole, of this digest, in these frames."""
    info = VideoInfo(
        path=Path("clip.mp4"), frames=start + frames, height_px=64, width_px=96, times=tuple(range(start + frames)),
        end_time=start + frames, time_base=Fraction(1, 24), is_folder=False, pixel_format="yuv420p", bit_depth=8,
        colour=Colour(), rotation_deg=0, sample_aspect=Fraction(1), codec="h264",
    )  # fmt: skip
    return Inputs(
        video=info.path, mask=Path("mask.png"), info=info, content_digest=content,
        frames=FrameRange(start, start + frames), geometry=Geometry.plan(64, 96),
        hole_digests=tuple(holes.get(frame, "none") for frame in range(frames)),
        holed=tuple(frame in holes for frame in range(frames)), notices=(),
    )  # fmt: skip


WEIGHTS = Weights(
    folder=Path("weights"),
    digests=tuple((checkpoint.file_name, "digest") for checkpoint in KNOWN_CHECKPOINTS),
    verified=True,
)


def planned(inputs: Inputs, settings: Settings | None = None, weights: Weights | None = None) -> Plan:
    settings = settings or Settings(engine="classical")
    encode = plan_encoding(inputs.info, settings.encode_video, inputs.geometry, Path("out.mp4"))
    return plan_stages(inputs, settings, encode, weights)


def changed(before: Plan, after: Plan) -> dict[str, list[int]]:
    return {
        stage: [
            index
            for index, (old, new) in enumerate(zip(before[stage].segments, after[stage].segments, strict=True))
            if old.digest != new.digest
        ]
        for stage in before
    }


EVERY_FRAME = dict.fromkeys(range(FRAMES), "square")


def test_the_same_inputs_give_the_same_keys_whatever_they_are_called() -> None:
    inputs = inputs_of(EVERY_FRAME)
    assert planned(inputs) == planned(replace(inputs, video=Path("/elsewhere/copy.mp4"), mask=Path("other.png")))


def test_a_changed_mask_leaves_frames_and_flow_alone() -> None:
    reached = changed(planned(inputs_of(EVERY_FRAME)), planned(inputs_of(dict.fromkeys(range(FRAMES), "circle"))))
    assert reached["extract_frames"] == reached["estimate_flow"] == []
    assert reached["complete_flow"] == list(range(25))
    assert reached["encode_video"] == [0, 1, 2, 3, 4]


def test_a_mask_changed_in_one_frame_reaches_only_the_segments_that_see_it() -> None:
    reached = changed(planned(inputs_of(EVERY_FRAME)), planned(inputs_of(EVERY_FRAME | {350: "circle"})))
    assert reached == {
        "extract_frames": [],
        "estimate_flow": [],
        "complete_flow": [21],
        "propagate_pixels": [4],
        "refine_frames": [4],
        "encode_video": [4],
    }


def test_a_change_of_crf_reaches_the_encoding_alone() -> None:
    inputs = inputs_of(EVERY_FRAME)
    reached = changed(planned(inputs), planned(inputs, Settings(engine="classical", encode_video=EncodeVideo(crf=30))))
    assert [stage for stage, segments in reached.items() if segments] == ["encode_video"]


def test_a_change_of_segment_length_leaves_frames_and_flow_alone() -> None:
    inputs = inputs_of(EVERY_FRAME)
    other = planned(inputs, Settings(engine="classical", complete_flow=CompleteFlow(subvideo_length=40)))
    before = planned(inputs)
    assert other["estimate_flow"].key == before["estimate_flow"].key
    assert other["propagate_pixels"].key != before["propagate_pixels"].key


def test_another_layout_on_disk_is_another_entry_of_the_same_numbers() -> None:
    inputs = inputs_of(EVERY_FRAME)
    fast, before = planned(inputs, Settings(engine="classical", storage="fast")), planned(inputs)
    assert fast["extract_frames"].key != before["extract_frames"].key
    assert fast["extract_frames"].key.segments == before["extract_frames"].key.segments


def test_another_video_shares_nothing() -> None:
    reached = changed(planned(inputs_of(EVERY_FRAME)), planned(inputs_of(EVERY_FRAME, content="other")))
    assert all(len(segments) > 0 for segments in reached.values())
    assert reached["estimate_flow"] == list(range(25))


def test_outpainting_shares_nothing_with_inpainting_nor_with_another_canvas() -> None:
    inpainting = inputs_of(EVERY_FRAME)
    wide, wider = (
        replace(inpainting, mask=None, geometry=Geometry.plan(64, 96, outpainting=Outpainting(scale_w=scale_w)))
        for scale_w in (1.2, 1.4)
    )
    for before, after in ((inpainting, wide), (wide, wider)):
        reached = changed(planned(before), planned(after))
        assert [len(segments) for segments in reached.values()] == [25, 25, 25, 5, 5, 5]


def test_what_outpainting_alone_has_is_no_part_of_inpaintings_keys() -> None:
    recipe = planned(inputs_of(EVERY_FRAME))["extract_frames"].recipe
    assert recipe["settings"] == {
        "geometry": {"source_height_px": 64, "source_width_px": 96, "asked_height_px": 64, "asked_width_px": 96}
    }


def asked_for(inputs: Inputs) -> dict[str, set[int]]:
    plan = planned(inputs)
    nodes = demand(plan, lambda _, asked: asked).to_compute
    return {stage: {index for name, index in nodes if name == stage} for stage in plan}


def test_shots_without_a_hole_cost_no_flow() -> None:
    asked = asked_for(inputs_of({350: "square"}))
    assert asked["refine_frames"] == asked["propagate_pixels"] == {4}
    assert asked["encode_video"] == {0, 1, 2, 3, 4}
    assert min(asked["estimate_flow"]) == 310 // 16  # propagation sees 10 frames before its segment
    assert 0 not in asked["extract_frames"]


def test_an_empty_mask_asks_for_the_encoding_alone() -> None:
    asked = asked_for(inputs_of({}))
    assert {stage for stage, segments in asked.items() if segments} == {"encode_video"}


def test_a_single_frame_has_no_flow_and_a_result() -> None:
    asked = asked_for(inputs_of({0: "square"}, frames=1))
    assert asked["estimate_flow"] == asked["complete_flow"] == set()
    assert asked["refine_frames"] == asked["encode_video"] == {0}


def test_what_is_committed_asks_for_nothing_upstream() -> None:
    plan = planned(inputs_of(EVERY_FRAME))

    def only_two_pieces_missing(stage: StagePlan, asked: "list[int]") -> list[int]:
        return [index for index in asked if stage.key.stage == "encode_video" and index in (1, 3)]

    demanded = demand(plan, only_two_pieces_missing)  # type: ignore[arg-type]
    assert demanded.to_compute == (("encode_video", 1), ("encode_video", 3))
    assert demanded.asked["refine_frames"] == {1, 3}
    assert demanded.asked["propagate_pixels"] == frozenset()


@pytest.mark.parametrize("frames", [1, 2, 16, 17, 80, 81, 161])
def test_every_read_lies_inside_what_its_stage_holds(frames: int) -> None:
    plan = planned(inputs_of(dict.fromkeys(range(frames), "square"), frames=frames))
    for stage in plan.values():
        for segment in stage.segments:
            for read in segment.reads:
                held = plan[read.stage].spec
                assert held is not None
                assert read.frames.stop <= held.shape[0]


def windows_of(plan: Plan, stage: str) -> list[str]:
    return [str(segment.tile.window) for segment in plan[stage].segments]


def test_the_learned_engine_sees_the_context_that_the_released_code_does() -> None:
    settings = Settings(engine="propainter", complete_flow=CompleteFlow(subvideo_length=120))
    plan = planned(inputs_of(EVERY_FRAME), settings, WEIGHTS)
    assert windows_of(plan, "complete_flow") == ["0:125", "115:245", "235:365", "355:399"]
    assert windows_of(plan, "propagate_pixels") == ["0:110", "90:210", "190:310", "290:400"]
    # Middles 75, 80, ..., 160 see frames 80 to 159. References: 15 and on for the first, 100 to 210 for the last.
    assert [str(read.frames) for read in plan["refine_frames"].segments[1].reads] == ["15:211", "15:210"]


def test_other_weights_reach_only_the_stages_that_use_them() -> None:
    inputs, settings = inputs_of(EVERY_FRAME), Settings(engine="propainter")
    (raft, completion, (generator, _)) = WEIGHTS.digests
    other = replace(WEIGHTS, digests=(raft, completion, (generator, "another")))
    reached = changed(planned(inputs, settings, WEIGHTS), planned(inputs, settings, other))
    assert [stage for stage, segments in reached.items() if segments] == ["refine_frames", "encode_video"]
