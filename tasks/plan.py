"""What a run will do, decided before it starts: every segment of every stage, its digest and what it reads.

A segment's digest covers exactly what its numbers depend on: the stage's code epoch and settings, the hole in the
frames that it sees, and the digests of the upstream segments that it reads. So a changed mask gives new digests only
to the segments that it reaches, and `cache` hands the others on. The recipes themselves stand with their stages, in
this package's other modules; this one knows how they are chained.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from cache.keys import StageKey, digest_of
from cache.layout import ArraySpec
from cache.store import Store
from propainter.core.frames import FrameRange, Tile, tiles_reaching
from propainter.core.geometry import Geometry
from propainter.core.settings import Settings
from propainter.media.encode_spec import EncodeSpec
from propainter.media.info import VideoInfo
from tasks.weights import Weights

STAGES = ("extract_frames", "estimate_flow", "complete_flow", "propagate_pixels", "refine_frames", "encode_video")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A video and its mask, looked at once. Frames are counted from the first one asked for.

    mask: None in outpainting, whose hole follows from the geometry.
    hole_digests, holed: per frame, the digest of the dilated hole at processing size, and whether it has one.
    hole_share: of the frame that the largest hole covers, at most.
    cuts: the first frame of each shot but the first, in so far as frames of the result depend on it.
    """

    video: Path
    mask: Path | None
    info: VideoInfo
    content_digest: str
    frames: FrameRange
    geometry: Geometry
    hole_digests: tuple[str, ...]
    holed: tuple[bool, ...]
    notices: tuple[str, ...]
    cuts: tuple[int, ...] = ()
    hole_share: float = 1.0

    @property
    def clip(self) -> FrameRange:
        return FrameRange(0, len(self.frames))

    @property
    def pairs(self) -> FrameRange:
        return FrameRange(0, len(self.frames) - 1)

    @property
    def shots(self) -> tuple[FrameRange, ...]:
        """Between the cuts: frames of different shots must not see one another."""
        return tuple(FrameRange(*ends) for ends in pairwise((0, *self.cuts, len(self.frames))))

    def in_source(self, frames: FrameRange) -> FrameRange:
        return FrameRange(self.frames.start + frames.start, self.frames.start + frames.stop)

    def in_clip(self, frames: FrameRange) -> FrameRange:
        return FrameRange(frames.start - self.frames.start, frames.stop - self.frames.start)

    def has_hole(self, frames: FrameRange) -> bool:
        return any(self.holed[frames.start : frames.stop])

    def hole_digest(self, frames: FrameRange) -> str:
        return digest_of({"holes": self.hole_digests[frames.start : frames.stop]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Frames (or pairs) of another stage's result."""

    stage: str
    frames: FrameRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One unit of work, commit and loss."""

    tile: Tile
    digest: str
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage's entry in the store, segment by segment. spec None: pieces of a file, not an array."""

    key: StageKey
    spec: ArraySpec | None
    recipe: Mapping[str, object]
    segments: tuple[Segment, ...]
    segment_frames: int

    def array_bytes(self, index: int) -> int:
        """Of a segment, uncompressed; 0 where it is no array."""
        return 0 if self.spec is None else len(self.segments[index].tile.core) * self.spec.frame_bytes

    def covering(self, frames: FrameRange) -> range:
        return tiles_reaching(frames, self.segment_frames)

    def trace(self, frames: FrameRange) -> tuple[object, ...]:
        """Identity of what reading these frames gives: which segments, and where in them."""
        covering = self.covering(frames)
        return (
            frames.start - covering.start * self.segment_frames,
            len(frames),
            tuple(self.segments[index].digest for index in covering),
        )


Plan = Mapping[str, StagePlan]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInputs:
    """What one tile's numbers depend on: its reads, and what is not in the store."""

    tile: Tile
    reads: tuple[Read, ...] = ()
    depends: Mapping[str, object]


def plan_stage(
    stage: str,
    *,
    epoch: int,
    settings: Mapping[str, object],
    tiles: Iterable[SegmentInputs],
    segment_frames: int,
    upstream: Plan,
    spec: ArraySpec | None,
) -> StagePlan:
    """Chain one stage to those that it reads.

    epoch: raised by hand when the stage's code gives other numbers for the same inputs.
    settings: only those that change this stage's numbers.
    """
    recipe = {"stage": stage, "epoch": epoch, "settings": settings}
    segments = tuple(
        Segment(
            tile=inputs.tile,
            reads=inputs.reads,
            digest=digest_of(
                {
                    **recipe,
                    "depends": inputs.depends,
                    **_extent(inputs.tile),
                    "reads": [(read.stage, upstream[read.stage].trace(read.frames)) for read in inputs.reads],
                }
            ),
        )
        for inputs in tiles
    )
    layout = "" if spec is None else digest_of(spec.as_json())
    key = StageKey(stage, tuple(segment.digest for segment in segments), layout)
    return StagePlan(key=key, spec=spec, recipe=recipe, segments=segments, segment_frames=segment_frames)


def _extent(tile: Tile) -> Mapping[str, object]:
    """What a tile answers for in what it sees, wherever in a clip that is."""
    extent: dict[str, object] = {"crop": (tile.crop.start, tile.crop.stop, len(tile.window))}
    if tile.parts != (tile,):
        extent["parts"] = [(part.core.start - tile.window.start, _extent(part)) for part in tile.parts]
    return extent


Node = tuple[str, int]
"""One segment of one stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a result asks for.

    asked: per stage the segments that it reads, directly or not, down to the ones that are committed.
    to_compute: those of them that are not, each after the ones that it reads.
    """

    asked: Mapping[str, frozenset[int]]
    to_compute: tuple[Node, ...]


def demand(plan: Plan, missing: Callable[[StagePlan, Sequence[int]], Sequence[int]]) -> Demand:
    """Ask from the last stage back: of what is asked of a stage, only what is missing asks anything further.

    So a shot without a hole asks for no flow, and nothing asks for what a finished result was made of. The order is
    depth first: the first piece of the result comes as early as can be.

    Args:
        missing: which of these segments of a stage are not committed.
    """
    asked: dict[str, set[int]] = {stage: set() for stage in plan}
    asked[STAGES[-1]] = set(range(len(plan[STAGES[-1]].segments)))
    lacking: dict[str, set[int]] = {}
    for stage in reversed(STAGES):
        lacking[stage] = set(missing(plan[stage], sorted(asked[stage]))) if asked[stage] else set()
        for index in lacking[stage]:
            for upstream, read_index in reads_of(plan, (stage, index)):
                asked[upstream].add(read_index)

    order: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in order or node[1] not in lacking[node[0]]:
            return
        for read in reads_of(plan, node):
            visit(read)
        order[node] = None

    for index in sorted(lacking[STAGES[-1]]):
        visit((STAGES[-1], index))
    return Demand(asked={stage: frozenset(indices) for stage, indices in asked.items()}, to_compute=tuple(order))


def reads_of(plan: Plan, node: Node) -> Iterator[Node]:
    """The segments that this one reads."""
    stage, index = node
    for read in plan[stage].segments[index].reads:
        for upstream in plan[read.stage].covering(read.frames):
            yield read.stage, upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What every task of one run is given."""

    inputs: Inputs
    settings: Settings
    plan: Plan
    encode: EncodeSpec
    cache: Path
    devices: tuple[str, ...]
    weights: Weights | None

    @property
    def store(self) -> Store:
        return open_store(self.cache)


@lru_cache(maxsize=8)
def open_store(root: Path) -> Store:
    """One Store for each folder and process: it remembers the entries that it has opened."""
    return Store(root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a task reports of its segment. notices: remarks for the user."""

    seconds: float
    bytes: int
    notices: tuple[str, ...] = ()
