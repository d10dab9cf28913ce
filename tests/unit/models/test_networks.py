"""The three networks on random weights: what holds whatever the weights are."""

import numpy as np
import pytest
import torch

from propainter.core.errors import ShapeError
from propainter.core.frames import FrameRange
from propainter.models.flow_completion import FlowCompletion, complete
from propainter.models.generator.network import EncodedFrames, Generator
from propainter.models.generator.propagation import Motion
from propainter.models.generator.sequence import refine_windows
from propainter.models.raft.network import Raft, flow_both_ways
from propainter.ops.regions import Region, Span
from propainter.ops.windows import Window

RANDOM = np.random.default_rng(2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator().eval()


def test_how_many_flows_run_together_does_not_show_in_the_flow() -> None:
    torch.manual_seed(0)
    raft = Raft().eval()
    frames = RANDOM.integers(0, 256, (4, 128, 136, 3), np.uint8)
    one, pair, all_six = (flow_both_ways(raft, frames, iterations=2, flows_at_once=flows) for flows in (1, 2, 6))
    assert one.shape == (3, 2, 2, 128, 136)
    # Another number of maps may take another kernel of the library, which rounds otherwise: stored steps are 1/64 px.
    np.testing.assert_allclose(one, all_six, rtol=0, atol=1e-5)
    np.testing.assert_allclose(pair, all_six, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 120, 256, 3), (2, 132, 256, 3), (1, 128, 128, 3)])
def test_flow_refuses_frames_that_it_cannot_work_on(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        flow_both_ways(Raft(), np.zeros(shape, np.uint8))


def test_completion_is_the_same_seen_backward_in_time() -> None:
    torch.manual_seed(0)
    network = FlowCompletion().eval()
    flow = RANDOM.normal(size=(4, 2, 2, 16, 24)).astype(np.float32)
    hole = np.zeros((5, 16, 24), bool)
    hole[1:4, 4:9, 6:15] = True
    completed = complete(network, flow, hole)
    reversed_in_time = complete(network, np.ascontiguousarray(flow[::-1, ::-1]), np.ascontiguousarray(hole[::-1]))
    np.testing.assert_allclose(reversed_in_time[::-1, ::-1], completed, rtol=0, atol=1e-6)
    assert (completed[1, 0][:, 4:9, 6:15] != flow[1, 0][:, 4:9, 6:15]).all()


def test_whether_directions_are_completed_together_does_not_show_in_the_flow() -> None:
    torch.manual_seed(0)
    network = FlowCompletion().eval()
    flow = RANDOM.normal(size=(4, 2, 2, 16, 24)).astype(np.float32)
    hole = np.zeros((5, 16, 24), bool)
    hole[1:4, 4:9, 6:15] = True
    one, both = (complete(network, flow, hole, directions_at_once=directions) for directions in (1, 2))
    # Rounding, as in RAFT: 5e-7 px on the synthetic weights.
    np.testing.assert_allclose(one, both, rtol=0, atol=1e-5)


def test_two_frames_are_enough_to_complete() -> None:
    flow = np.ones((1, 2, 2, 16, 16), np.float32)
    assert (complete(FlowCompletion().eval(), flow, np.zeros((2, 16, 16), bool)) == flow).all()


def test_completion_refuses_sides_that_are_no_multiples_of_8() -> None:
    with pytest.raises(ShapeError, match="20x16"):
        complete(FlowCompletion(), np.zeros((1, 2, 2, 16, 20), np.float32), np.zeros((2, 16, 20), bool))


WINDOWS = (
    Window(local=FrameRange(0, 3), references=(4,)),
    Window(local=FrameRange(1, 4), references=()),
    Window(local=FrameRange(3, 5), references=(0,)),
)


def refine(
    generator: Generator, hole: np.ndarray, windows: tuple[Window, ...], **tile: int
) -> dict[FrameRange, np.ndarray]:
    frames = np.linspace(0, 255, hole.size * 3).astype(np.uint8).reshape(*hole.shape, 3)
    propagated = np.concatenate((frames, hole[..., None].astype(np.uint8)), axis=-1)
    flow = np.full((4, 2, 2, *hole.shape[1:]), 0.5, np.float32)
    return dict(refine_windows(generator, propagated, hole, flow, windows, **tile))


def test_a_window_gives_the_same_bits_alone_and_among_others(generator: Generator) -> None:
    hole = np.zeros((5, 32, 40), bool)
    hole[:, 8:20, 8:20] = True
    together = refine(generator, hole, WINDOWS)
    assert list(together) == [window.local for window in WINDOWS]
    for window in WINDOWS:
        alone = refine(generator, hole, (window,))
        assert (alone[window.local] == together[window.local]).all()


def test_each_frame_is_encoded_once_however_many_windows_see_it(generator: Generator) -> None:
    encoded = []
    hook = generator.encoder.register_forward_hook(lambda *_: encoded.append(1))
    refine(generator, np.ones((5, 32, 40), bool), WINDOWS)
    hook.remove()
    assert len(encoded) == 5


def test_frames_that_are_not_kept_are_encoded_again_to_the_same_bits(generator: Generator) -> None:
    encoded = []
    hook = generator.encoder.register_forward_hook(lambda *_: encoded.append(1))
    hole = np.ones((5, 32, 40), bool)
    none_kept = refine(generator, hole, WINDOWS, frames_kept=0)
    hook.remove()
    assert len(encoded) == 4 + 3 + 3
    for window, kept in refine(generator, hole, WINDOWS).items():
        assert (none_kept[window] == kept).all()


@torch.inference_mode()
def test_how_many_frames_are_attended_at_once_does_not_show_in_the_tokens(generator: Generator) -> None:
    tokens = torch.randn(4, 6, 11, 512, generator=torch.Generator().manual_seed(0))
    hole = torch.ones(6, 11, dtype=torch.bool)  # four attention windows, so that these are shared out too
    one, three, all_four = (
        generator.transformers(tokens, hole, local=3, sides=(16, 32), frames_at_once=frames) for frames in (1, 3, 4)
    )
    assert one.shape == (3, 6, 11, 512)
    torch.testing.assert_close(one, all_four, rtol=0, atol=1e-5)
    torch.testing.assert_close(three, all_four, rtol=0, atol=1e-5)


def test_a_window_without_a_hole_is_not_run(generator: Generator) -> None:
    hole = np.zeros((5, 32, 40), bool)
    hole[4, 3:9, 3:9] = True
    assert list(refine(generator, hole, WINDOWS)) == [FrameRange(3, 5)]


@torch.inference_mode()
@pytest.mark.parametrize(("rows", "columns"), [((0, 3), (37, 40)), ((11, 25), (8, 9)), ((17, 32), (0, 40))])
def test_a_decoded_region_is_that_part_of_the_whole(
    generator: Generator, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    features, tokens = torch.randn(1, 128, 8, 10), torch.randn(1, 3, 4, 512)
    whole = generator.decode(features, tokens, [Region.whole(32, 40)])
    part = generator.decode(features, tokens, [Region(Span(*rows, 32), Span(*columns, 40))])
    inside = (slice(None), slice(None), slice(*rows), slice(*columns))
    torch.testing.assert_close(part[inside], whole[inside], rtol=0, atol=1e-5)
    part[inside] = 0
    assert (part == 0).all()


def test_gradients_reach_every_parameter_of_what_is_trained(generator: Generator) -> None:
    completion = FlowCompletion()
    hole = torch.zeros(1, 3, 1, 16, 16)
    hole[:, :, :, 4:9, 5:12] = 1
    completion(torch.randn(1, 3, 2, 16, 16), hole).square().sum().backward()
    frames, masks = torch.rand(3, 3, 32, 40), torch.ones(3, 1, 32, 40)
    encoded = generator.encode(frames, masks, masks)
    motion = Motion.of(torch.full((1, 2, 2, 32, 40), 0.5))
    local = EncodedFrames.join([encoded.frame(0), encoded.frame(1)])
    output = generator.refine(local, encoded.frame(2), motion, [Region.whole(32, 40)] * 2, frames_at_once=2)
    output.square().sum().backward()
    generator_idle = [name for name, parameter in generator.named_parameters() if parameter.grad is None]
    assert generator_idle == []
    completion_idle = {name for name, parameter in completion.named_parameters() if parameter.grad is None}
    assert {name.split(".")[0] for name in completion_idle} == {"edgeDetector"}
    generator.zero_grad()
