"""What a change reaches, segment by segment: the digests of a whole plan before and after it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from flows.planning import plan_stages
from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry, Pan
from propainter.core.settings import CompleteFlow, EncodeVideo, Outpainting, Settings
from propainter.media.colour import Colour
from propainter.media.encode_spec import plan_encoding
from propainter.media.info import VideoInfo
from propainter.models.checkpoints import KNOWN_CHECKPOINTS
from tasks.plan import Inputs, Plan, StagePlan, demand
from tasks.refine_frames import windows_of as windows_of_refinement
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


def test_a_shot_without_a_hole_costs_decoding_only_right_up_to_the_cut() -> None:
    second_shot = replace(inputs_of(dict.fromkeys(range(160, FRAMES), "square")), cuts=(160,))
    asked = asked_for(second_shot)
    assert asked["encode_video"] == {0, 1, 2, 3, 4}
    assert asked["refine_frames"] == asked["propagate_pixels"] == {2, 3, 4}
    assert min(asked["complete_flow"]) == min(asked["estimate_flow"]) == min(asked["extract_frames"]) == 160 // 16
    as_one = asked_for(replace(second_shot, cuts=()))
    assert min(as_one["estimate_flow"]) == 150 // 16


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


def test_a_cut_reaches_only_the_segments_that_saw_across_it_and_no_frames_or_flow() -> None:
    inputs = inputs_of(EVERY_FRAME)
    reached = changed(planned(inputs), planned(replace(inputs, cuts=(205,))))
    assert reached == {
        "extract_frames": [],
        "estimate_flow": [],
        "complete_flow": [],  # the classical engine completes each pair by itself
        "propagate_pixels": [2],
        "refine_frames": [2],
        "encode_video": [2],
    }


def test_a_cut_where_two_segments_meet_takes_context_from_both() -> None:
    inputs = inputs_of(EVERY_FRAME)
    assert changed(planned(inputs), planned(replace(inputs, cuts=(160,))))["propagate_pixels"] == [1, 2]


def test_the_learned_engine_sees_nothing_of_another_shot() -> None:
    inputs = replace(inputs_of(EVERY_FRAME), cuts=(100, 101))
    plan = planned(inputs, Settings(engine="propainter"), WEIGHTS)

    def in_one_shot(first: int, last: int) -> bool:
        return any(shot.start <= first and last < shot.stop for shot in inputs.shots)

    for stage, frames_more in (("complete_flow", 1), ("propagate_pixels", 0)):
        for segment in plan[stage].segments:
            for part in segment.tile.parts:
                assert in_one_shot(part.window.start, part.window.stop - 1 + frames_more)
    for window in windows_of_refinement(inputs, Settings()):
        frames = (*window.local, *window.references)
        assert in_one_shot(min(frames), max(frames))


def test_a_shot_has_the_same_segments_as_a_video_of_it_alone() -> None:
    both, alone = replace(inputs_of(EVERY_FRAME), cuts=(160,)), inputs_of(EVERY_FRAME, frames=240, start=160)
    for weights in (None, WEIGHTS):
        settings = Settings(engine="propainter" if weights else "classical")
        in_both, by_itself = planned(both, settings, weights), planned(alone, settings, weights)
        for stage in ("propagate_pixels", "refine_frames", "encode_video"):
            assert in_both[stage].key.segments[2:] == by_itself[stage].key.segments


def test_with_a_region_a_mask_changed_in_one_frame_reaches_only_the_segments_that_see_it() -> None:
    region = replace(Geometry.plan(64, 96), crop=Crop(top_px=0, left_px=32, height_px=64, width_px=64))
    before, after = (
        replace(inputs_of(holes), geometry=region) for holes in (EVERY_FRAME, EVERY_FRAME | {350: "circle"})
    )
    reached = changed(planned(before), planned(after))
    assert (reached["estimate_flow"], reached["complete_flow"], reached["encode_video"]) == ([], [21], [4])


def test_another_region_shares_nothing_but_what_has_no_hole() -> None:
    inputs = inputs_of({350: "square"})
    crop = Crop(top_px=0, left_px=32, height_px=64, width_px=64)
    there, elsewhere = (
        replace(inputs, geometry=replace(inputs.geometry, crop=replace(crop, left_px=left_px))) for left_px in (32, 0)
    )
    reached = changed(planned(there), planned(elsewhere))
    assert (len(reached["estimate_flow"]), reached["encode_video"]) == (25, [4])


def test_a_region_that_pans_otherwise_in_some_frames_reaches_only_the_segments_that_see_those() -> None:
    def panning(lefts_px: dict[int, int]) -> Plan:
        places = tuple((0, lefts_px.get(frame, 8)) for frame in range(FRAMES))
        pan = Pan(height_px=64, width_px=64, first_frame=0, places_px=places)
        inputs = inputs_of(EVERY_FRAME)
        return planned(replace(inputs, geometry=replace(inputs.geometry, crop=pan)))

    assert changed(panning({}), panning(dict.fromkeys(range(40), 16))) == {
        "extract_frames": [0, 1, 2],
        "estimate_flow": [0, 1, 2],
        "complete_flow": [0, 1, 2],
        "propagate_pixels": [0],
        "refine_frames": [0],
        "encode_video": [0],
    }
