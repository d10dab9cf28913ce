"""The things in the demo's clip: a painted landscape and a car, from value noise and a few polygons.

Owns what they look like; where the camera and the car are is sample.py's.
Lengths are in units of the frame's height, so that every size shows the same scene. Light comes from the upper left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]
"""Floating levels in 0..1, (rows, columns, 3) RGB or (rows, columns)."""

MARGIN = 0.03
"""How far the landscape reaches above, below, left and right of what a still camera sees."""

LANE = 0.865
"""Where the wheels touch the road."""

CAR_LENGTH = 0.52

_HORIZON = 0.47
_WALL_TOP, _WALL_FOOT = 0.575, 0.685
_ROAD_TOP, _ROAD_FOOT = 0.745, 0.935
_WHEELS = (0.205, 0.795)
_WHEEL_RADIUS = 0.098
_CAR_BOX = (1.12, 0.50)
"""The car's picture, length and height in car lengths: the car begins at 0.06 and stands 0.04 above its lower edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A car in side view, driving right. body: (rows, columns, 4), RGB times cover, then cover; wheel: likewise.

    shadow: (rows, columns), the part of the road's light that is taken away.
    """

    body: Picture
    wheel: Picture
    shadow: Picture
    unit_px: int

    @property
    def stand_px(self) -> tuple[int, int]:
        """(column, row) in body of the point of the road under the car's tail."""
        return _car_px(self.unit_px, (0.0, 0.0))

    def posed(self, travelled: float) -> Picture:
        """The car with its wheels turned as after `travelled` frame heights; shape of body."""
        turn_degrees = math.degrees(travelled / (_WHEEL_RADIUS * CAR_LENGTH))
        side = self.wheel.shape[0]
        spin = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -turn_degrees, 1.0)
        wheel = cv2.warpAffine(self.wheel, spin, (side, side))
        car = self.body.copy()
        for center in _WHEELS:
            column, row = _car_px(self.unit_px, (center, _WHEEL_RADIUS))
            patch = car[row - side // 2 : row - side // 2 + side, column - side // 2 : column - side // 2 + side]
            patch[:] = patch * (1 - wheel[..., 3:]) + wheel
        return car


def paint_landscape(seed: int, unit_px: int, width: float) -> Picture:
    """Sky, mountains, hills, trees, a dry stone wall and a road; (1 + 2 MARGIN, width + 2 MARGIN) in units."""
    canvas = _Canvas(seed, unit_px, width)
    for paint in (_sky, _mountains, _hills, _meadow, _trees, _wall, _verge, _road, _foreground, _soft_light):
        paint(canvas)
    return np.clip(canvas.picture, 0, 1)


def paint_car(unit_px: int) -> Car:
    """The car at `unit_px` pixels for one frame height."""
    return Car(body=_car_body(unit_px), wheel=_car_wheel(unit_px), shadow=_car_shadow(unit_px), unit_px=unit_px)


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
        return _noise(self.rng, (rows, self.shape[1]), (height * self.unit_px, width * self.unit_px), octaves)

    def ridge(self, level: float, swing: float, width: float, octaves: int = 5) -> Picture:
        """A skyline: y by column, (1, columns)."""
        return level + swing * _noise(self.rng, (1, self.shape[1]), (1e9, width * self.unit_px), octaves)

    def band(self, top: float, foot: float) -> slice:
        """The rows of y from top to foot."""
        rows = (round((edge + MARGIN) * self.unit_px) for edge in (top, foot))
        low, high = (min(max(row, 0), self.shape[0]) for row in rows)
        return slice(low, high)

    def lay(self, color: Picture, cover: Picture, band: slice = slice(None)) -> None:
        """Paint `color` over the rows of `band` as densely as `cover` says."""
        under = self.picture[band]
        under += (color - under) * cover[..., None]


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float], octaves: int) -> Picture:
    total, weight, weight_sum = np.zeros(shape, np.float32), 1.0, 0.0
    for octave in range(octaves):
        rows, columns = (max(side / cell * 2**octave, 0.0) for side, cell in zip(shape, cell_px, strict=True))
        if octave and max(rows / shape[0], columns / shape[1]) > 1:
            break
        # The grid is larger than it must be and starts anywhere between its knots, so that octaves do not line up.
        grid = rng.random((math.ceil(rows) + 3, math.ceil(columns) + 3), dtype=np.float32) * 2 - 1
        start_row, start_column = 1 + rng.random(2)
        scale_row, scale_column = rows / shape[0], columns / shape[1]
        place = np.array([[scale_column, 0, start_column], [0, scale_row, start_row]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += weight * cv2.warpAffine(grid, place, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        weight_sum += weight**2
        weight *= 0.55
    return total / math.sqrt(weight_sum)


def _step(low: float, high: float, value: Picture) -> Picture:
    """0 at low, 1 at high, smooth between; low may be the larger."""
    ramp = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _rgb(red: float, green: float, blue: float) -> Picture:
    return np.array((red / 255, green / 255, blue / 255), np.float32)


def _between(low: Picture, high: Picture, share: Picture) -> Picture:
    return np.asarray(low + (high - low) * share[..., None])


def _lit(height: Picture, strength: float) -> Picture:
    """How much a surface of this height catches the light from the upper left, about 0."""
    down, right = np.gradient(height)
    return np.asarray(np.clip((down + right) * strength, -1, 1))


def _sky(canvas: _Canvas) -> None:
    depth = np.broadcast_to(_step(-0.1, _HORIZON, canvas.y), canvas.shape)
    canvas.picture[:] = _between(_rgb(78, 124, 186), _rgb(226, 222, 208), depth)
    puff = canvas.noise(0.16, 0.42, 7) + 0.35 * canvas.noise(0.5, 1.2, 2)
    cover = _step(0.05, 0.75, puff - 0.9 * (canvas.y - 0.12)) * _step(0.46, 0.30, canvas.y)
    light = 0.62 + 0.5 * _lit(cv2.GaussianBlur(puff, (0, 0), canvas.unit_px / 120), canvas.unit_px / 60)
    light = light - 0.28 * _step(0.5, 1.6, puff)
    canvas.lay(_between(_rgb(158, 168, 188), _rgb(255, 250, 240), np.clip(light, 0, 1)), 0.92 * cover)


def _mountains(canvas: _Canvas) -> None:
    for level, swing, tint, haze in (
        (0.36, 0.060, _rgb(126, 146, 176), 0.55),
        (0.415, 0.040, _rgb(96, 122, 140), 0.35),
    ):
        ridge = canvas.ridge(level, swing, 0.45, 7)
        rock = canvas.noise(0.12, 0.10, 6)
        light = 1 + 0.24 * _lit(cv2.GaussianBlur(rock, (0, 0), 1.2), canvas.unit_px / 90)
        color = tint * light[..., None]
        fog = np.clip((canvas.y - ridge) / 0.12, 0, 1) * haze
        color = _between(color, _rgb(206, 210, 210), fog)
        canvas.lay(color, _step(-0.002, 0.002, canvas.y - ridge))


def _hills(canvas: _Canvas) -> None:
    for level, swing, meadow, wood, fog in (
        (0.455, 0.022, _rgb(128, 148, 104), _rgb(84, 112, 88), 0.30),
        (0.500, 0.020, _rgb(136, 152, 84), _rgb(62, 92, 58), 0.12),
    ):
        ridge = canvas.ridge(level, swing, 0.7, 4)
        crowns = canvas.noise(0.012, 0.016, 3)
        wooded = _step(-0.05, 0.20, canvas.noise(0.05, 0.30, 4) + 0.22 * crowns)
        grass = meadow * (1 + 0.12 * canvas.noise(0.03, 0.30, 5))[..., None]
        trees = wood * (1 + 0.5 * _lit(crowns, canvas.unit_px / 160))[..., None]
        color = _between(_between(grass, trees, wooded), _rgb(206, 208, 196), np.full(canvas.shape, fog, np.float32))
        skyline = ridge - 0.006 * np.clip(wooded + 0.4 * crowns, 0, 1)
        canvas.lay(color, _step(-0.0015, 0.0015, canvas.y - skyline))


def _meadow(canvas: _Canvas) -> None:
    ridge = canvas.ridge(0.535, 0.008, 0.5, 4)
    patches = canvas.noise(0.03, 0.4, 5)
    blades = canvas.noise(0.012, 0.004, 2)
    color = _between(_rgb(112, 132, 62), _rgb(172, 168, 98), _step(-0.6, 0.8, patches))
    canvas.lay(color * (1 + 0.16 * blades)[..., None], _step(-0.0015, 0.0015, canvas.y - ridge + 0.002 * blades))


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
    trunk = _step(0.055, 0.035, np.abs(x - spot) / size) * _step(-0.65, -0.6, (y - foot) / size) * (y < foot)
    patch += (_rgb(70, 56, 44) - patch) * trunk[..., None]
    clumps = _noise(canvas.rng, shape, (0.045 * unit_px, 0.05 * unit_px), 3)
    leaves = _noise(canvas.rng, shape, (unit_px / 120, unit_px / 100), 2)
    across, down = (x - spot) / (size * 0.46), (y - foot + size * 0.62) / (size * 0.47)
    inside = 1 - np.sqrt(across**2 + down**2) + 0.24 * clumps + 0.16 * leaves
    cover = _step(0.0, 0.08, inside)
    tint = _rgb(70, 94, 50) if canvas.rng.random() < 0.7 else _rgb(112, 106, 54)
    light = 0.90 - 0.30 * (across + down) + 0.34 * _lit(clumps, unit_px / 90) + 0.34 * leaves
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
    light = tones * (0.62 + 0.38 * bulge) * (1 + 0.55 * _lit(bulge, 1.6)) * (1 + 0.13 * grain)
    color = _between(_rgb(142, 138, 132), _rgb(172, 152, 122), warmth) * light[..., None]
    moss = _step(0.45, 1.0, canvas.noise(0.06, 0.22, 5, band)) * 0.75
    color = _between(color, _rgb(88, 104, 48) * (1 + 0.25 * grain)[..., None], moss)
    y = canvas.y[band]
    color *= (1 - 0.45 * _step(_WALL_FOOT - 0.035, _WALL_FOOT, y))[..., None]
    top = canvas.ridge(_WALL_TOP, 0.0045, 0.06, 3)
    color *= (1 + 0.35 * _step(0.012, 0.0, np.abs(y - top - 0.006)))[..., None]
    canvas.lay(color, _step(-0.0015, 0.0015, y - top), band)


def _verge(canvas: _Canvas) -> None:
    band = canvas.band(_WALL_FOOT - 0.04, _ROAD_TOP + 0.02)
    y = canvas.y[band]
    tufts = canvas.noise(0.05, 0.007, 3, band)
    patches = canvas.noise(0.05, 0.22, 4, band)
    color = _between(_rgb(92, 112, 44), _rgb(166, 160, 84), _step(-0.7, 0.9, patches + 0.3 * tufts))
    color *= (1 + 0.30 * tufts)[..., None] * (0.72 + 0.28 * _step(_WALL_FOOT, _WALL_FOOT + 0.03, y))[..., None]
    specks = canvas.rng.random(patches.shape, dtype=np.float32) * (patches > 0.15)
    for low, tint in ((0.9991, _rgb(238, 222, 120)), (0.9996, _rgb(236, 236, 240))):
        flowers = cv2.dilate((specks > low).astype(np.float32), np.ones((3, 3), np.uint8))
        color = _between(color, tint, 0.85 * flowers)
    tops = canvas.ridge(_WALL_FOOT, 0.008, 0.012, 3)
    canvas.lay(color, _step(-0.003, 0.002, y - tops), band)


def _road(canvas: _Canvas) -> None:
    band = canvas.band(_ROAD_TOP - 0.02, _ROAD_FOOT + 0.03)
    y, x = canvas.y[band], canvas.x
    grit = canvas.rng.standard_normal((y.shape[0], canvas.shape[1]), dtype=np.float32)
    grit = cv2.GaussianBlur(grit, (0, 0), 0.9) * 1.6
    worn = canvas.noise(0.05, 0.5, 5, band)
    tracks = sum(np.exp(-(((y - at) / 0.014) ** 2)) for at in (0.785, 0.862, 0.905))
    light = 1 + 0.075 * grit + 0.10 * worn - 0.07 * tracks
    crack = _step(0.035, 0.012, np.abs(canvas.noise(0.10, 0.5, 5, band))) * _step(0.2, 0.6, worn)
    light = light * (1 - 0.38 * crack)
    color = _rgb(126, 122, 120) * light[..., None]
    paint = _step(-1.0, -0.2, worn + 0.5 * grit) * 0.85
    dashes = _step(0.0055, 0.0040, np.abs(y - 0.823)) * _step(0.135, 0.130, np.abs((x % 0.52) - 0.26))
    edge = _step(0.0035, 0.0022, np.abs(y - _ROAD_TOP - 0.018))
    color = _between(color, _rgb(222, 218, 206), paint * np.maximum(dashes, edge))
    rim = canvas.ridge(_ROAD_TOP, 0.0028, 0.03, 4)
    canvas.lay(color, _step(-0.002, 0.002, y - rim), band)


def _foreground(canvas: _Canvas) -> None:
    band = canvas.band(_ROAD_FOOT - 0.06, 1 + MARGIN)
    y = canvas.y[band]
    gravel = canvas.noise(0.010, 0.014, 3, band)
    kerb = canvas.ridge(_ROAD_FOOT, 0.004, 0.06, 4)
    canvas.lay(_rgb(150, 138, 116) * (1 + 0.28 * gravel)[..., None], _step(-0.004, 0.004, y - kerb), band)
    tufts = canvas.noise(0.14, 0.014, 3, band)
    patches = canvas.noise(0.08, 0.30, 4, band)
    color = _between(_rgb(74, 96, 36), _rgb(150, 150, 70), _step(-0.8, 1.0, patches + 0.4 * tufts))
    color *= (1 + 0.34 * tufts)[..., None]
    tops = canvas.ridge(_ROAD_FOOT + 0.038, 0.014, 0.02, 4)
    canvas.lay(color, _step(-0.004, 0.006, y - tops), band)


def _soft_light(canvas: _Canvas) -> None:
    """Shadows of clouds that drift over the ground, and one warm tone for all."""
    shade = _step(0.1, 1.1, canvas.noise(0.30, 0.9, 3)) * _step(_HORIZON, _HORIZON + 0.1, canvas.y)
    canvas.picture *= (1 - 0.26 * shade)[..., None]
    canvas.picture *= np.array((1.03, 1.0, 0.95), np.float32)


def _car_px(unit_px: int, point: tuple[float, float]) -> tuple[int, int]:
    """(column, row) in the car's picture of a point (along, above the road) in car lengths."""
    scale_px = CAR_LENGTH * unit_px
    return round((point[0] + 0.06) * scale_px), round((_CAR_BOX[1] - 0.04 - point[1]) * scale_px)


def _car_shape(unit_px: int) -> tuple[int, int]:
    return round(_CAR_BOX[1] * CAR_LENGTH * unit_px), round(_CAR_BOX[0] * CAR_LENGTH * unit_px)


def _filled(unit_px: int, points: Sequence[tuple[float, float]], *, smooth: bool = True) -> Picture:
    """Cover of a polygon in car lengths, its corners rounded by a Catmull-Rom curve."""
    corners = np.array(points)
    if smooth:
        before, after, beyond = (np.roll(corners, shift, 0)[:, None] for shift in (1, -1, -2))
        t = np.linspace(0, 1, 12, endpoint=False)[None, :, None]
        here = corners[:, None]
        curve = 2 * here + (after - before) * t + (2 * before - 5 * here + 4 * after - beyond) * t**2
        corners = ((curve + (3 * here - before - 3 * after + beyond) * t**3) / 2).reshape(-1, 2)
    finer = 4
    rows, columns = _car_shape(unit_px)
    mask = np.zeros((rows * finer, columns * finer), np.uint8)
    cv2.fillPoly(mask, [np.array([_car_px(unit_px * finer, (u, v)) for u, v in corners], np.int32)], 255)
    return cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _disc(unit_px: int, center: tuple[float, float], radii: tuple[float, float]) -> Picture:
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    points = [(center[0] + radii[0] * math.cos(angle), center[1] + radii[1] * math.sin(angle)) for angle in turn]
    return _filled(unit_px, points, smooth=False)


def _car_body(unit_px: int) -> Picture:
    rows, columns = _car_shape(unit_px)
    scale_px = CAR_LENGTH * unit_px
    u = np.broadcast_to((np.arange(columns, dtype=np.float32)[None] + 0.5) / scale_px - 0.06, (rows, columns))
    v = np.broadcast_to(_CAR_BOX[1] - 0.04 - (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / scale_px, u.shape)

    outline = _filled(unit_px, (
        (0.02, 0.085), (0.0, 0.14), (0.012, 0.215), (0.06, 0.262), (0.135, 0.285), (0.205, 0.365), (0.29, 0.412),
        (0.43, 0.424), (0.555, 0.410), (0.625, 0.360), (0.70, 0.285), (0.84, 0.262), (0.945, 0.225), (0.988, 0.17),
        (0.995, 0.11), (0.965, 0.075), (0.5, 0.068),
    ))  # fmt: skip
    paint = 0.80 + 0.55 * _step(0.19, 0.29, v) - 0.42 * _step(0.17, 0.08, v)
    paint = paint + 0.40 * np.exp(-(((v - 0.205 + 0.03 * (u - 0.5) ** 2) / 0.009) ** 2)) - 0.10 * _step(0.6, 1.0, u)
    body = _rgb(184, 44, 34) * paint[..., None]
    body = _between(body, _rgb(240, 232, 212) * (0.80 + 0.25 * _step(0.32, 0.42, v))[..., None], _step(0.376, 0.382, v))

    def lay(color: Picture, cover: Picture) -> None:
        body[:] = _between(body, color, cover)

    # Reflections of sky above and of hedges below run across the glass.
    glass = _between(
        _rgb(42, 54, 62), _rgb(150, 176, 196), _step(0.30, 0.40, v + 0.06 * np.sin(u * 19) + 0.10 * u - 0.05)
    )
    for window in (
        ((0.205, 0.292), (0.248, 0.352), (0.305, 0.382), (0.405, 0.386), (0.405, 0.292)),
        ((0.432, 0.292), (0.432, 0.386), (0.545, 0.378), (0.598, 0.342), (0.645, 0.292)),
    ):
        pane = _filled(unit_px, window, smooth=False)
        lay(_rgb(208, 206, 200), np.clip(cv2.GaussianBlur(pane, (0, 0), scale_px / 220) * 1.6, 0, 1))
        lay(glass, pane)
        head = _disc(unit_px, (0.505, 0.338), (0.021, 0.029))
        shoulders = _disc(unit_px, (0.495, 0.282), (0.048, 0.032))
        lay(_rgb(36, 32, 32), 0.8 * np.maximum(head, shoulders) * pane)
    for line in (0.418, 0.668):
        seam = np.exp(-(((u - line - 0.10 * (v - 0.2) ** 2) / 0.003) ** 2)) * _step(0.085, 0.095, v) * (v < 0.29)
        lay(_rgb(70, 14, 12), 0.75 * seam)
    lay(_rgb(226, 226, 224), _disc(unit_px, (0.46, 0.243), (0.022, 0.006)))
    for center in _WHEELS:
        lay(_rgb(18, 16, 16), _disc(unit_px, (center, _WHEEL_RADIUS), (0.122, 0.122)))
    lay(_rgb(30, 28, 28), _step(0.092, 0.084, v))
    lay(_rgb(255, 246, 214), _disc(unit_px, (0.957, 0.188), (0.020, 0.030)))
    lay(_rgb(255, 92, 48), _disc(unit_px, (0.022, 0.205), (0.013, 0.026)))
    for left, right in ((-0.012, 0.07), (0.93, 1.012)):
        bumper = _filled(unit_px, ((left, 0.105), (left, 0.135), (right, 0.135), (right, 0.105)), smooth=False)
        outline = np.maximum(outline, bumper)
        lay(_between(_rgb(98, 98, 100), _rgb(240, 240, 238), _step(0.112, 0.128, v)), bumper)
    return np.dstack([np.clip(body, 0, 1) * outline[..., None], outline]).astype(np.float32)


def _car_wheel(unit_px: int) -> Picture:
    radius_px = _WHEEL_RADIUS * CAR_LENGTH * unit_px
    side = 2 * math.ceil(radius_px) + 3
    at = np.arange(side, dtype=np.float32) - (side - 1) / 2
    radius = np.hypot(at[:, None], at[None]) / radius_px
    angle = np.arctan2(at[:, None], at[None])
    soft = 1 / radius_px
    rubber = np.broadcast_to(_rgb(30, 29, 30), (side, side, 3))
    spokes = _step(-0.25, 0.15, np.cos(5 * angle)) * _step(0.18, 0.26, radius)
    rim = _between(_rgb(206, 206, 204), _rgb(62, 62, 64), spokes)
    wheel = _between(rubber, rim, _step(0.66 + soft, 0.66 - soft, radius))
    wheel = _between(wheel, _rgb(222, 220, 214), _step(0.07, 0.04, np.abs(radius - 0.64)))
    cover = _step(1 + soft, 1 - soft, radius)
    return np.dstack([wheel * cover[..., None], cover]).astype(np.float32)


def _car_shadow(unit_px: int) -> Picture:
    """Soft and thrown to the right, dark where the wheels touch; on the same grid as the body."""
    spread_px = CAR_LENGTH * unit_px
    thrown = _disc(unit_px, (0.54, 0.002), (0.50, 0.034))
    close = np.max([_disc(unit_px, (center + 0.01, 0.0), (0.085, 0.014)) for center in _WHEELS], axis=0)
    dark = 0.62 * cv2.GaussianBlur(thrown, (0, 0), spread_px / 60) + 0.30 * cv2.GaussianBlur(
        close, (0, 0), spread_px / 90
    )
    return np.where(dark > 0.02, dark, 0).astype(np.float32)
