"""Colours for the pixels of a hole: taken where their trajectories end, made as bright as what is around the hole, and
written where the surroundings bear them out.

Points are N: pixels of one frame, by their number in it (row by row). Frames T, rows H, columns W.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from propainter.models.classical.membrane import near, parts_of, spread
from propainter.ops.propagation import KNOWN

RIM_PX = 3
"""Around the hole: where points are followed as well, and what they bring is held against what is there."""

_EXPOSURE_SAMPLES = 3000
_REMAP_LIMIT = 1 << 14
"""Points at a time: OpenCV's remap numbers them by 16 bits."""

_DARK = 4.0
"""Grey levels added before brightness is compared, so that noise in the dark does not count as a change."""

_MAX_EXPOSURE_STEP = 48.0
"""Grey levels. A larger difference at the rim is another object, not another exposure."""

_CONTRAST_PX = 12
"""How far around a pixel its contrast is measured."""

_SLIGHT = 8.0
_OF_CONTRAST = 2.5
"""A difference at the rim is credible below so many grey levels, and so many times the contrast there: in even
surroundings a wrong colour shows, and a smooth fill does not. Measured on running_car.mp4 with nine holes: without it
24.0 dB in the hole, with it 26.2; with 2 times the contrast as good, and a hole over texture 0.1 dB worse."""

_CONTACT = 2.0
"""Rim pixels that a filled area needs, times the root of its own pixels: an island has nothing to vouch for it."""

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one direction of time found for the points of a frame: colours (N, 3), and in which frame (-1: nowhere)."""

    colours: NDArray[np.uint8]
    frame: NDArray[np.int16]


def exposure_step(
    frame: NDArray[np.uint8], following: NDArray[np.uint8], flow_2HW: Floats, unsure: Bools, unsure_there: Bools
) -> Floats:
    """How much brighter the following frame is: logarithm (3,), the median along flow to it, unsure pixels aside."""
    height, width = unsure.shape
    stride = max(1, int((height * width / _EXPOSURE_SAMPLES) ** 0.5))
    y, x = (a.ravel() for a in np.mgrid[:height:stride, :width:stride])
    to_x = np.rint(x + flow_2HW[0, y, x]).astype(np.intp)
    to_y = np.rint(y + flow_2HW[1, y, x]).astype(np.intp)
    both = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height) & ~unsure[y, x]
    both[both] = ~unsure_there[to_y[both], to_x[both]]
    if not both.any():
        return np.zeros(3, np.float32)
    here = frame[y[both], x[both]].astype(np.float32)
    there = following[to_y[both], to_x[both]].astype(np.float32)
    step: Floats = np.median(np.log((there + _DARK) / (here + _DARK)), axis=0).astype(np.float32)
    return step


def sample(frame: NDArray[np.uint8], x_N: Floats, y_N: Floats) -> NDArray[np.uint8]:
    """Colours (N, 3) of a frame (H, W, 3) at places inside the picture, by cubic interpolation."""
    out = np.empty((len(x_N), 3), np.uint8)
    for some in np.array_split(np.arange(len(x_N)), len(x_N) // _REMAP_LIMIT + 1):
        places = x_N[None, some], y_N[None, some]
        out[some] = cv2.remap(frame, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[0]
    return out


def paint(
    packed: NDArray[np.uint8],
    hole: Bools,
    pixels: NDArray[np.int32],
    found: list[Found],
    exposure: list[Floats],
    t: int,
) -> None:
    """Write what was found for the pixels of frame t into its hole, and code it KNOWN.

    Args:
        packed: (H, W, 4), as stages.propagate_pixels returns it.
        pixels: of the hole and beyond: there the colour found and the one to be seen differ by exposure alone.
        found: by one direction of time, or both, which are blended by how near in time they found it.
        exposure: logarithm of each frame's brightness (3,).
    """
    colours, seen = _blended(found, exposure, t)
    number = np.full(hole.shape, -1, np.int32)
    number.ravel()[pixels[seen]] = np.arange(len(colours), dtype=np.int32)
    for box, part in parts_of(near(hole, RIM_PX), _CONTRAST_PX):
        there = part & (number[box] >= 0)
        if there.any():
            colour = np.zeros((*part.shape, 3), np.float32)
            colour[there] = colours[number[box][there]]
            _paint_part(packed[box], hole[box], there, colour)


def _blended(found: list[Found], exposure: list[Floats], t: int) -> tuple[Floats, Bools]:
    """Colours of the points that were found, as bright as they would be in frame t; and which were."""
    gains = np.exp(exposure[t] - np.stack(exposure))
    distances = np.arange(len(exposure)) - t
    weight_T = np.divide(1, np.abs(distances), where=distances != 0, out=np.zeros(len(exposure))).astype(np.float32)
    weights = [np.where(each.frame >= 0, weight_T[each.frame], np.float32(0)) for each in found]
    total: Floats = np.sum(weights, axis=0)
    seen = total > 0
    colours = np.zeros((np.count_nonzero(seen), 3), np.float32)
    for each, weight in zip(found, weights, strict=True):
        adjusted = (each.colours[seen] + _DARK) * gains[each.frame[seen]] - _DARK
        colours += adjusted * (weight[seen] / total[seen])[:, None]
    return colours, seen


def _paint_part(packed: NDArray[np.uint8], hole: Bools, there: Bools, colour: Floats) -> None:
    """One part of the hole: add what the rim says of exposure, and write what the rim bears out.

    there: the pixels, of the hole or its rim, that have a colour.
    """
    step = packed[..., :3] - colour
    size = np.abs(step).max(axis=2)
    rim = there & ~hole
    same_object = rim & (size < _MAX_EXPOSURE_STEP)
    tolerance = np.minimum(_SLIGHT + _OF_CONTRAST * _contrast(packed[..., :3], ~hole), _MAX_EXPOSURE_STEP)
    borne_out = there & _credible(size / tolerance, rim)
    inside = _in_contact(borne_out & hole, same_object)
    if inside.any():
        colour += spread(step, ~same_object)
        packed[inside, :3] = np.clip(np.rint(colour[inside]), 0, 255).astype(np.uint8)
        packed[inside, 3] = KNOWN


def _credible(doubt: Floats, rim: Bools) -> Bools:
    """Where doubt, known on the rim and spread from there, is below 1; three times that outweighs nothing more."""
    spread_doubt: Floats = spread(np.minimum(doubt, 3)[..., None], ~rim)[..., 0]
    return spread_doubt <= 1


def _contrast(picture: NDArray[np.uint8], known: Bools) -> Floats:
    """Standard deviation (H, W) of what is known around each pixel, in the channel where it is largest."""

    def blurred(values: Floats) -> Floats:
        side_px = 2 * _CONTRAST_PX + 1
        return np.asarray(cv2.blur(values, (side_px, side_px), borderType=cv2.BORDER_CONSTANT), np.float32)

    values = np.where(known[..., None], picture, np.float32(0)).astype(np.float32)
    share = np.maximum(blurred(known.astype(np.float32)), 1e-6)[..., None]
    variance = blurred(values * values) / share - np.square(blurred(values) / share)
    contrast: Floats = np.sqrt(np.maximum(variance, 0).max(axis=2))
    return contrast


def _in_contact(filled: Bools, rim: Bools) -> Bools:
    """The areas of what is filled that touch enough of the rim."""
    count, labels = cv2.connectedComponents((filled | rim).view(np.uint8))
    contact_px = np.bincount(labels[rim], minlength=count)
    size_px = np.bincount(labels[filled], minlength=count)
    vouched_for: Bools = filled & (contact_px >= _CONTACT * np.sqrt(size_px))[labels]
    return vouched_for
