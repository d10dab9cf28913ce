"""Scene cuts in what a result depends on: looked up in the cache, else found and kept there."""

from collections.abc import Callable, Iterator

from cache.cuts import CutIndex
from cache.store import Store
from propainter.core.frames import FrameRange, tiles_reaching
from propainter.media.cuts import CutFinder
from propainter.media.source import open_source
from tasks.plan import Inputs, Plan, demand

EPOCH = 1
BLOCK_PAIRS = 256
"""Looked at in one go: a run that is killed goes on with the next."""


def find_cuts(
    inputs: Inputs, plan: Plan, save_fps: float, store: Store, announce: Callable[[int], None]
) -> tuple[int, ...]:
    """The first frame of each shot but the first, counted from the first frame asked for.

    Args:
        plan: made as if there were no cuts. Only what its result depends on is looked at, and only cuts between two
            such frames are returned: the same job has the same cuts, whatever other jobs found elsewhere in the video.
        announce: told how many frames are about to be looked at, where there are any that the cache knows nothing of.
    """
    recipe = {"video": inputs.content_digest, "epoch": EPOCH, "block_pairs": BLOCK_PAIRS}
    index = CutIndex(store.root, recipe)
    runs = [inputs.in_source(frames) for frames in _reached(plan)]
    blocks = {block for run in runs for block in tiles_reaching(FrameRange(run.start, run.stop - 1), BLOCK_PAIRS)}
    known = {block: index.load(block) for block in sorted(blocks)}
    lacking = [block for block, cuts in known.items() if cuts is None]
    if lacking:
        announce(len(lacking) * BLOCK_PAIRS)
        with open_source(inputs.video, save_fps=save_fps) as source:
            finder = CutFinder(source)
            for block in lacking:
                pairs = FrameRange(block * BLOCK_PAIRS, min((block + 1) * BLOCK_PAIRS, inputs.info.frames - 1))
                known[block] = finder.find(pairs)
                index.keep(block, known[block] or ())
    found = [cut for cuts in known.values() for cut in cuts or ()]
    return tuple(cut - inputs.frames.start for cut in found if any(run.start < cut < run.stop for run in runs))


def _reached(plan: Plan) -> Iterator[FrameRange]:
    """Runs of frames that the result depends on."""
    run: FrameRange | None = None
    for index in sorted(demand(plan, lambda _, asked: asked).asked["extract_frames"]):
        core = plan["extract_frames"].segments[index].tile.core
        if run is not None and run.stop < core.start:
            yield run
            run = None
        run = core if run is None else FrameRange(run.start, core.stop)
    if run is not None:
        yield run
