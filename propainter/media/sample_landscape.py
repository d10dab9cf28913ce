"""The painted landscape of the demo's clip, from value noise alone.

Owns what it looks like; where the camera is is sample.py's.
Lengths are in units of the frame's height, so that every size shows the same scene; y runs down, from 0 at the top.
"""

import math

import cv2
import numpy as np

from propainter.media.sample_brush import Picture, between, lit, rgb, step, value_noise

MARGIN = 0.03
"""How far the landscape reaches above, below, left and right of what a still camera sees."""

LANE = 0.865
"""Where wheels touch the road."""

_HORIZON = 0.47
_WALL_TOP, _WALL_FOOT = 0.575, 0.685
_ROAD_TOP, _ROAD_FOOT = 0.745, 0.935


def paint_landscape(seed: int, unit_px: int, width: float) -> Picture:
    """Sky, mountains, hills, trees, a dry stone wall and a road; (1 + 2 MARGIN, width + 2 MARGIN) in units."""
    canvas = _Canvas(seed, unit_px, width)
    for paint in (_sky, _mountains, _hills, _meadow, _trees, _wall, _verge, _road, _foreground, _soft_light):
        paint(canvas)
    return np.clip(canvas.picture, 0, 1)


class _Canvas:
    """The picture under the brush, with y from -MARGIN to 1 + MARGIN and x from 0."""

    def __init__(self, seed: int, unit_px: int, width: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.unit_px = unit_px
        self.shape = (round(unit_px * (1 + 2 * MARGIN)), round(unit_px * (width + 2 * MARGIN)))
        self.y: Picture = (np.arange(self.shape[0], dtype=np.float32)[:, None] + 0.5) / unit_px - MARGIN
        self.x: Picture = (np.arange(self.shape[1], dtype=np.float32)[None, :] + 0.5) / unit_px
        self.picture: Picture = np.zeros((*self.shape, 3), np.float32)

    def noise(self, height: float, width: float, octaves: int = 5, band: slice = slice(None)) -> Picture:
        """Value noise over the rows of `band`, about -1 to 1, whose largest features are height x width."""
        rows = len(range(*band.indices(self.shape[0])))
        return value_noise(self.rng, (rows, self.shape[1]), (height * self.unit_px, width * self.unit_px), octaves)

    def ridge(self, level: float, swing: float, width: float, octaves: int = 5) -> Picture:
        """A skyline: y by column, (1, columns)."""
        return level + swing * value_noise(self.rng, (1, self.shape[1]), (1e9, width * self.unit_px), octaves)

    def band(self, top: float, foot: float) -> slice:
        """The rows of y from top to foot."""
        rows = (round((edge + MARGIN) * self.unit_px) for edge in (top, foot))
        low, high = (min(max(row, 0), self.shape[0]) for row in rows)
        return slice(low, high)

    def lay(self, color: Picture, cover: Picture, band: slice = slice(None)) -> None:
        """Paint `color` over the rows of `band` as densely as `cover` says."""
        under = self.picture[band]
        under += (color - under) * cover[..., None]


def _sky(canvas: _Canvas) -> None:
    depth = np.broadcast_to(step(-0.1, _HORIZON, canvas.y), canvas.shape)
    canvas.picture[:] = between(rgb(78, 124, 186), rgb(226, 222, 208), depth)
    puff = canvas.noise(0.16, 0.42, 7) + 0.35 * canvas.noise(0.5, 1.2, 2)
    cover = step(0.05, 0.75, puff - 0.9 * (canvas.y - 0.12)) * step(0.46, 0.30, canvas.y)
    light = 0.62 + 0.5 * lit(cv2.GaussianBlur(puff, (0, 0), canvas.unit_px / 120), canvas.unit_px / 60)
    light = light - 0.28 * step(0.5, 1.6, puff)
    canvas.lay(between(rgb(158, 168, 188), rgb(255, 250, 240), np.clip(light, 0, 1)), 0.92 * cover)


def _mountains(canvas: _Canvas) -> None:
    for level, swing, tint, haze in (
        (0.36, 0.060, rgb(126, 146, 176), 0.55),
        (0.415, 0.040, rgb(96, 122, 140), 0.35),
    ):
        ridge = canvas.ridge(level, swing, 0.45, 7)
        rock = canvas.noise(0.12, 0.10, 6)
        light = 1 + 0.24 * lit(cv2.GaussianBlur(rock, (0, 0), 1.2), canvas.unit_px / 90)
        color = tint * light[..., None]
        fog = np.clip((canvas.y - ridge) / 0.12, 0, 1) * haze
        color = between(color, rgb(206, 210, 210), fog)
        canvas.lay(color, step(-0.002, 0.002, canvas.y - ridge))


def _hills(canvas: _Canvas) -> None:
    for level, swing, meadow, wood, fog in (
        (0.455, 0.022, rgb(128, 148, 104), rgb(84, 112, 88), 0.30),
        (0.500, 0.020, rgb(136, 152, 84), rgb(62, 92, 58), 0.12),
    ):
        ridge = canvas.ridge(level, swing, 0.7, 4)
        crowns = canvas.noise(0.012, 0.016, 3)
        wooded = step(-0.05, 0.20, canvas.noise(0.05, 0.30, 4) + 0.22 * crowns)
        grass = meadow * (1 + 0.12 * canvas.noise(0.03, 0.30, 5))[..., None]
        trees = wood * (1 + 0.5 * lit(crowns, canvas.unit_px / 160))[..., None]
        color = between(between(grass, trees, wooded), rgb(206, 208, 196), np.full(canvas.shape, fog, np.float32))
        skyline = ridge - 0.006 * np.clip(wooded + 0.4 * crowns, 0, 1)
        canvas.lay(color, step(-0.0015, 0.0015, canvas.y - skyline))


def _meadow(canvas: _Canvas) -> None:
    ridge = canvas.ridge(0.535, 0.008, 0.5, 4)
    patches = canvas.noise(0.03, 0.4, 5)
    blades = canvas.noise(0.012, 0.004, 2)
    color = between(rgb(112, 132, 62), rgb(172, 168, 98), step(-0.6, 0.8, patches))
    canvas.lay(color * (1 + 0.16 * blades)[..., None], step(-0.0015, 0.0015, canvas.y - ridge + 0.002 * blades))


def _trees(canvas: _Canvas) -> None:
    width = canvas.shape[1] / canvas.unit_px
    spots = np.sort(canvas.rng.uniform(0.13, 0.42, 16).cumsum())
    for spot in spots[spots < width + 0.2]:
        size = float(canvas.rng.uniform(0.10, 0.27))
        _tree(canvas, float(spot), 0.585 + 0.03 * size, size)


def _tree(canvas: _Canvas, spot: float, foot: float, size: float) -> None:
    """One broad tree, `size` from trunk to top, with the shade it throws to the right."""
    unit_px = canvas.unit_px
    rows, columns = canvas.band(foot - size * 1.15, foot + 0.02), _columns(canvas, spot - size * 0.6, spot + size * 0.9)
    y, x = canvas.y[rows], canvas.x[:, columns]
    shape = (y.shape[0], x.shape[1])
    if min(shape) < 4:
        return
    patch = canvas.picture[rows, columns]
    shade = np.exp(-(((x - spot - size * 0.25) / (size * 0.45)) ** 2) - ((y - foot) / 0.014) ** 2)
    patch *= (1 - 0.55 * shade)[..., None]
    trunk = step(0.055, 0.035, np.abs(x - spot) / size) * step(-0.65, -0.6, (y - foot) / size) * (y < foot)
    patch += (rgb(70, 56, 44) - patch) * trunk[..., None]
    clumps = value_noise(canvas.rng, shape, (0.045 * unit_px, 0.05 * unit_px), 3)
    leaves = value_noise(canvas.rng, shape, (unit_px / 120, unit_px / 100), 2)
    across, down = (x - spot) / (size * 0.46), (y - foot + size * 0.62) / (size * 0.47)
    inside = 1 - np.sqrt(across**2 + down**2) + 0.24 * clumps + 0.16 * leaves
    cover = step(0.0, 0.08, inside)
    tint = rgb(70, 94, 50) if canvas.rng.random() < 0.7 else rgb(112, 106, 54)
    light = 0.90 - 0.30 * (across + down) + 0.34 * lit(clumps, unit_px / 90) + 0.34 * leaves
    patch += (tint * np.clip(light, 0.3, 2.0)[..., None] - patch) * cover[..., None]


def _columns(canvas: _Canvas, left: float, right: float) -> slice:
    low, high = (min(max(round(edge * canvas.unit_px), 0), canvas.shape[1]) for edge in (left, right))
    return slice(low, high)


def _wall(canvas: _Canvas) -> None:
    band = canvas.band(_WALL_TOP - 0.02, _WALL_FOOT + 0.02)
    rows, columns = len(range(*band.indices(canvas.shape[0]))), canvas.shape[1]
    course_px, stone_px = 0.0215 * canvas.unit_px, 0.046 * canvas.unit_px
    # Stones are the cells around their seeds, on a grid squeezed along the wall, which makes them long.
    seeds = np.ones((rows, math.ceil(columns / 2)), np.uint8)
    for course in range(math.ceil(rows / course_px)):
        along = np.arange(-1, columns / stone_px + 1) + 0.5 * (course % 2)
        jitter = canvas.rng.uniform(-0.3, 0.3, (2, len(along)))
        at_row = np.clip((course + 0.5 + 0.5 * jitter[0]) * course_px, 0, rows - 1)
        at_column = np.clip((along + jitter[1]) * stone_px / 2, 0, seeds.shape[1] - 1)
        seeds[at_row.astype(int), at_column.astype(int)] = 0
    cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    labels = cv2.resize(cells, (seeds.shape[1] * 2, rows), interpolation=cv2.INTER_NEAREST)[:, :columns]
    joint = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
    room = cv2.distanceTransform((~joint).astype(np.uint8), cv2.DIST_L2, 3) / canvas.unit_px
    bulge = np.sqrt(np.clip(room / 0.010, 0, 1))
    tones = canvas.rng.uniform(0.72, 1.18, labels.max() + 1).astype(np.float32)[labels]
    warmth = canvas.rng.random(labels.max() + 1, dtype=np.float32)[labels]
    grain = canvas.noise(0.006, 0.006, 2, band)
    light = tones * (0.62 + 0.38 * bulge) * (1 + 0.55 * lit(bulge, 1.6)) * (1 + 0.13 * grain)
    color = between(rgb(142, 138, 132), rgb(172, 152, 122), warmth) * light[..., None]
    moss = step(0.45, 1.0, canvas.noise(0.06, 0.22, 5, band)) * 0.75
    color = between(color, rgb(88, 104, 48) * (1 + 0.25 * grain)[..., None], moss)
    y = canvas.y[band]
    color *= (1 - 0.45 * step(_WALL_FOOT - 0.035, _WALL_FOOT, y))[..., None]
    top = canvas.ridge(_WALL_TOP, 0.0045, 0.06, 3)
    color *= (1 + 0.35 * step(0.012, 0.0, np.abs(y - top - 0.006)))[..., None]
    canvas.lay(color, step(-0.0015, 0.0015, y - top), band)


def _verge(canvas: _Canvas) -> None:
    band = canvas.band(_WALL_FOOT - 0.04, _ROAD_TOP + 0.02)
    y = canvas.y[band]
    tufts = canvas.noise(0.05, 0.007, 3, band)
    patches = canvas.noise(0.05, 0.22, 4, band)
    color = between(rgb(92, 112, 44), rgb(166, 160, 84), step(-0.7, 0.9, patches + 0.3 * tufts))
    color *= (1 + 0.30 * tufts)[..., None] * (0.72 + 0.28 * step(_WALL_FOOT, _WALL_FOOT + 0.03, y))[..., None]
    specks = canvas.rng.random(patches.shape, dtype=np.float32) * (patches > 0.15)
    for low, tint in ((0.9991, rgb(238, 222, 120)), (0.9996, rgb(236, 236, 240))):
        flowers = cv2.dilate((specks > low).astype(np.float32), np.ones((3, 3), np.uint8))
        color = between(color, tint, 0.85 * flowers)
    tops = canvas.ridge(_WALL_FOOT, 0.008, 0.012, 3)
    canvas.lay(color, step(-0.003, 0.002, y - tops), band)


def _road(canvas: _Canvas) -> None:
    band = canvas.band(_ROAD_TOP - 0.02, _ROAD_FOOT + 0.03)
    y, x = canvas.y[band], canvas.x
    grit = canvas.rng.standard_normal((y.shape[0], canvas.shape[1]), dtype=np.float32)
    grit = cv2.GaussianBlur(grit, (0, 0), 0.9) * 1.6
    worn = canvas.noise(0.05, 0.5, 5, band)
    tracks = sum(np.exp(-(((y - at) / 0.014) ** 2)) for at in (0.785, 0.862, 0.905))
    light = 1 + 0.075 * grit + 0.10 * worn - 0.07 * tracks
    crack = step(0.035, 0.012, np.abs(canvas.noise(0.10, 0.5, 5, band))) * step(0.2, 0.6, worn)
    light = light * (1 - 0.38 * crack)
    color = rgb(126, 122, 120) * light[..., None]
    paint = step(-1.0, -0.2, worn + 0.5 * grit) * 0.85
    dashes = step(0.0055, 0.0040, np.abs(y - 0.823)) * step(0.135, 0.130, np.abs((x % 0.52) - 0.26))
    edge = step(0.0035, 0.0022, np.abs(y - _ROAD_TOP - 0.018))
    color = between(color, rgb(222, 218, 206), paint * np.maximum(dashes, edge))
    rim = canvas.ridge(_ROAD_TOP, 0.0028, 0.03, 4)
    canvas.lay(color, step(-0.002, 0.002, y - rim), band)


def _foreground(canvas: _Canvas) -> None:
    band = canvas.band(_ROAD_FOOT - 0.06, 1 + MARGIN)
    y = canvas.y[band]
    gravel = canvas.noise(0.010, 0.014, 3, band)
    kerb = canvas.ridge(_ROAD_FOOT, 0.004, 0.06, 4)
    canvas.lay(rgb(150, 138, 116) * (1 + 0.28 * gravel)[..., None], step(-0.004, 0.004, y - kerb), band)
    tufts = canvas.noise(0.14, 0.014, 3, band)
    patches = canvas.noise(0.08, 0.30, 4, band)
    color = between(rgb(74, 96, 36), rgb(150, 150, 70), step(-0.8, 1.0, patches + 0.4 * tufts))
    color *= (1 + 0.34 * tufts)[..., None]
    tops = canvas.ridge(_ROAD_FOOT + 0.038, 0.014, 0.02, 4)
    canvas.lay(color, step(-0.004, 0.006, y - tops), band)


def _soft_light(canvas: _Canvas) -> None:
    """Shadows of clouds that drift over the ground, and one warm tone for all."""
    shade = step(0.1, 1.1, canvas.noise(0.30, 0.9, 3)) * step(_HORIZON, _HORIZON + 0.1, canvas.y)
    canvas.picture *= (1 - 0.26 * shade)[..., None]
    canvas.picture *= np.array((1.03, 1.0, 0.95), np.float32)
