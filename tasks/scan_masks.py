"""One pass over the masks: which frames have a hole, what it is, and where; and the region that they ask for."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from cache.keys import digest_of
from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry
from propainter.core.region import Boxes, region_following
from propainter.media.masks import MaskSource
from propainter.models.classical.membrane import hole_box

SCAN_FRAMES = 32
"""Masks held at a time while they are scanned."""

MOST_SHARE = 0.75
"""Of the whole frame's pixels. Where less is spared, flow of the whole frame is worth more: it serves any mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Per frame the digest of the hole, whether there is one and the box around it.

    largest_px: pixels of the largest hole.
    """

    digests: tuple[str, ...]
    holed: tuple[bool, ...]
    boxes: Boxes
    largest_px: int


def scan(masks: MaskSource, frames: FrameRange, geometry: Geometry) -> Scan:
    """Look at the masks of these frames once."""
    digests: list[str] = []
    holed: list[bool] = []
    boxes: list[list[tuple[int, int]]] = []
    largest_px = 0
    for hole in _holes(masks, frames, geometry):
        digests.append(_digest(hole))
        holed.append(bool(hole.any()))
        sides = hole_box(hole) if holed[-1] else (slice(0, 0), slice(0, 0))
        boxes.append([(side.start, side.stop) for side in sides])
        largest_px = max(largest_px, int(hole.sum()))
    each = len(frames) if masks.frames is None else 1
    return Scan(
        digests=tuple(digests) * each,
        holed=tuple(holed) * each,
        boxes=np.array(boxes * each, np.int64),
        largest_px=largest_px,
    )


def scan_region(
    masks: MaskSource, frames: FrameRange, geometry: Geometry, *, keep_size: bool, shots: Sequence[FrameRange] = ()
) -> tuple[Geometry, Scan]:
    """Choose the part of the frame to work on, which is all of it where a part would spare too little.

    Where a smaller size was asked for, the part is taken at the source's resolution if it has no more pixels there.

    Args:
        shots: parts of frames, from one to the next of which the part worked on may jump; none given: all are one.

    Returns:
        The geometry with its crop, and what was found of the holes: at the frame's size, so that their digests do not
        depend on the crop.
    """
    frame = (geometry.asked_height_px, geometry.asked_width_px)
    source = (geometry.source_height_px, geometry.source_width_px)
    sizes = [source, frame] if keep_size and prod(source) > prod(frame) else [frame]
    for height_px, width_px in sizes:
        all_of_it = Crop(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
        whole = replace(geometry, asked_height_px=height_px, asked_width_px=width_px, crop=all_of_it)
        found = scan(masks, frames, whole)
        crop = region_following(found.boxes, frames, height_px, width_px, shots) if any(found.holed) else None
        if crop is not None and crop.height_px * crop.width_px <= MOST_SHARE * geometry.height_px * geometry.width_px:
            return replace(whole, crop=crop), found
    return geometry, scan(masks, frames, geometry)


def _holes(masks: MaskSource, frames: FrameRange, geometry: Geometry) -> Iterator[NDArray[np.bool_]]:
    """Of every frame; of the first alone where one mask serves all."""
    looked_at = frames if masks.frames is not None else FrameRange(frames.start, frames.start + 1)
    for tile in looked_at.tiles(SCAN_FRAMES):
        yield from masks.read(tile.core, geometry)


def _digest(hole: NDArray[np.bool_]) -> str:
    bits = hashlib.blake2b(np.packbits(hole).tobytes(), digest_size=20).hexdigest()
    return digest_of({"shape": hole.shape, "bits": bits})
