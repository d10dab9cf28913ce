"""The car in the demo's clip, in side view, from a few polygons.

Owns what it looks like; where it is is sample.py's.
Lengths are in units of the frame's height, or, on the car itself, of the car's length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from propainter.media.sample_brush import Picture, between, rgb, step

CAR_LENGTH = 0.52

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


def paint_car(unit_px: int) -> Car:
    """The car at `unit_px` pixels for one frame height."""
    return Car(body=_car_body(unit_px), wheel=_car_wheel(unit_px), shadow=_car_shadow(unit_px), unit_px=unit_px)


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
    paint = 0.80 + 0.55 * step(0.19, 0.29, v) - 0.42 * step(0.17, 0.08, v)
    paint = paint + 0.40 * np.exp(-(((v - 0.205 + 0.03 * (u - 0.5) ** 2) / 0.009) ** 2)) - 0.10 * step(0.6, 1.0, u)
    body = rgb(184, 44, 34) * paint[..., None]
    body = between(body, rgb(240, 232, 212) * (0.80 + 0.25 * step(0.32, 0.42, v))[..., None], step(0.376, 0.382, v))

    def lay(color: Picture, cover: Picture) -> None:
        body[:] = between(body, color, cover)

    # Reflections of sky above and of hedges below run across the glass.
    glass = between(rgb(42, 54, 62), rgb(150, 176, 196), step(0.30, 0.40, v + 0.06 * np.sin(u * 19) + 0.10 * u - 0.05))
    for window in (
        ((0.205, 0.292), (0.248, 0.352), (0.305, 0.382), (0.405, 0.386), (0.405, 0.292)),
        ((0.432, 0.292), (0.432, 0.386), (0.545, 0.378), (0.598, 0.342), (0.645, 0.292)),
    ):
        pane = _filled(unit_px, window, smooth=False)
        lay(rgb(208, 206, 200), np.clip(cv2.GaussianBlur(pane, (0, 0), scale_px / 220) * 1.6, 0, 1))
        lay(glass, pane)
        head = _disc(unit_px, (0.505, 0.338), (0.021, 0.029))
        shoulders = _disc(unit_px, (0.495, 0.282), (0.048, 0.032))
        lay(rgb(36, 32, 32), 0.8 * np.maximum(head, shoulders) * pane)
    for line in (0.418, 0.668):
        seam = np.exp(-(((u - line - 0.10 * (v - 0.2) ** 2) / 0.003) ** 2)) * step(0.085, 0.095, v) * (v < 0.29)
        lay(rgb(70, 14, 12), 0.75 * seam)
    lay(rgb(226, 226, 224), _disc(unit_px, (0.46, 0.243), (0.022, 0.006)))
    for center in _WHEELS:
        lay(rgb(18, 16, 16), _disc(unit_px, (center, _WHEEL_RADIUS), (0.122, 0.122)))
    lay(rgb(30, 28, 28), step(0.092, 0.084, v))
    lay(rgb(255, 246, 214), _disc(unit_px, (0.957, 0.188), (0.020, 0.030)))
    lay(rgb(255, 92, 48), _disc(unit_px, (0.022, 0.205), (0.013, 0.026)))
    for left, right in ((-0.012, 0.07), (0.93, 1.012)):
        bumper = _filled(unit_px, ((left, 0.105), (left, 0.135), (right, 0.135), (right, 0.105)), smooth=False)
        outline = np.maximum(outline, bumper)
        lay(between(rgb(98, 98, 100), rgb(240, 240, 238), step(0.112, 0.128, v)), bumper)
    return np.dstack([np.clip(body, 0, 1) * outline[..., None], outline]).astype(np.float32)


def _car_wheel(unit_px: int) -> Picture:
    radius_px = _WHEEL_RADIUS * CAR_LENGTH * unit_px
    side = 2 * math.ceil(radius_px) + 3
    at = np.arange(side, dtype=np.float32) - (side - 1) / 2
    radius = np.hypot(at[:, None], at[None]) / radius_px
    angle = np.arctan2(at[:, None], at[None])
    soft = 1 / radius_px
    rubber = np.broadcast_to(rgb(30, 29, 30), (side, side, 3))
    spokes = step(-0.25, 0.15, np.cos(5 * angle)) * step(0.18, 0.26, radius)
    rim = between(rgb(206, 206, 204), rgb(62, 62, 64), spokes)
    wheel = between(rubber, rim, step(0.66 + soft, 0.66 - soft, radius))
    wheel = between(wheel, rgb(222, 220, 214), step(0.07, 0.04, np.abs(radius - 0.64)))
    cover = step(1 + soft, 1 - soft, radius)
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
