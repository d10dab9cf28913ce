"""One pass over the masks: which frames have a hole, what it is, and where; and the region that all of them ask for."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from cache.keys import digest_of
from propainter.core.frames import FrameRange
from propainter.core.geometry import Crop, Geometry
from propainter.core.region import Box, region_around
from propainter.media.masks import MaskSource
from propainter.models.classical.membrane import hole_box

SCAN_FRAMES = 32
"""Masks held at a time while they are scanned."""

MOST_SHARE = 0.75
"""Of the whole frame's pixels. Where less is spared, flow of the whole frame is worth more: it serves any mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Per frame the digest of the hole and whether there is one; and the box that holds all holes, if there are any.

    largest_px: pixels of the largest hole.
    """

    digests: tuple[str, ...]
    holed: tuple[bool, ...]
    box: Box | None
    largest_px: int


def scan(masks: MaskSource, frames: FrameRange, geometry: Geometry) -> Scan:
    """Look at the masks of these frames once."""
    digests: list[str] = []
    holed: list[bool] = []
    largest_px = 0
    anywhere = np.zeros((geometry.height_px, geometry.width_px), np.bool_)
    for hole in _holes(masks, frames, geometry):
        digests.append(_digest(hole))
        holed.append(bool(hole.any()))
        anywhere |= hole
        largest_px = max(largest_px, int(hole.sum()))
    box = hole_box(anywhere) if anywhere.any() else None
    each = len(frames) if masks.frames is None else 1
    return Scan(digests=tuple(digests) * each, holed=tuple(holed) * each, box=box, largest_px=largest_px)


def scan_region(masks: MaskSource, frames: FrameRange, geometry: Geometry, *, keep_size: bool) -> tuple[Geometry, Scan]:
    """Choose the part of the frame to work on, which is all of it where a part would spare too little.

    Where a smaller size was asked for, the part is taken at the source's resolution if it has no more pixels there.

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
        crop = region_around(found.box, height_px, width_px) if found.box else None
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
