"""The layers of a drawn face that do not move: skin, eyes, hair, and the room with the shoulders.

Lengths are in face units: half the width of the face is 1, x grows to the right and y downwards, and the origin lies
midway between the eyes. The skin is a height field lit by one lamp and the sky, so that nose, sockets, cheeks and chin
shade as they do on a person; hair and cloth are noise drawn out along their run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]
Image = NDArray[np.uint8]

EYE_X = 0.45
BROW_Y = -0.27
NOSE_Y = 0.58
MOUTH_Y = 0.93
LEFT, RIGHT, TOP, BOTTOM = -1.75, 1.75, -1.75, 2.4
LID_STEPS = 6

_SKINS = np.array(
    [(238, 200, 178), (226, 180, 150), (205, 155, 122), (170, 118, 86), (126, 84, 62), (86, 58, 46)], dtype=np.float32
)
_HAIRS = ((28, 22, 20), (52, 36, 26), (92, 62, 38), (150, 112, 66), (196, 168, 120), (120, 62, 36), (150, 150, 152))
_IRISES = ((70, 44, 28), (96, 70, 40), (82, 92, 70), (92, 112, 128), (92, 100, 108))


@dataclass(frozen=True)
class Look:
    """What one person and their room look like; colours are RGB 0..255, lengths face units."""

    seed: int
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    cloth: tuple[float, float, float]
    wall: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair_style: str  # "short", "long" or "bald"
    hairline: float
    beard: float  # 0 none .. 1 full
    stubble: float
    freckles: float
    jaw_power: float
    jaw_round: float
    nose_width: float
    nose_height: float
    eye_size: float
    brow: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    teeth: float
    light: tuple[float, float, float]
    ambient: float
    shine: float
    age: float


def make_look(seed: int) -> Look:
    """Draw a person by lot; the same seed is the same person."""
    rng = np.random.default_rng([seed, 1])
    tone = float(rng.beta(1.1, 1.5) * (len(_SKINS) - 1))
    low = min(int(tone), len(_SKINS) - 2)
    skin = _SKINS[low] + (tone - low) * (_SKINS[low + 1] - _SKINS[low]) + rng.normal(0, 4, 3)
    man = bool(rng.random() < 0.5)
    hair_index = int(rng.choice(len(_HAIRS), p=[0.25, 0.25, 0.17, 0.12, 0.08, 0.05, 0.08])) if tone < 2.5 else 0
    style = rng.choice(["short", "long", "bald"], p=[0.85, 0.02, 0.13] if man else [0.2, 0.8, 0.0])
    redness = rng.uniform(0.25, 0.6) + (0.0 if man else 0.25)
    lips = skin * (1 - redness * np.array([0.22, 0.52, 0.42])) * rng.uniform(0.78, 0.92)
    azimuth, height = rng.uniform(-0.6, 0.6), rng.uniform(0.15, 0.65)
    light = np.array([np.sin(azimuth), -height, 1.0])
    light /= np.linalg.norm(light)

    def colour(values: Reals) -> tuple[float, float, float]:
        red, green, blue = (float(v) for v in np.clip(values, 5, 250))
        return red, green, blue

    return Look(
        seed=seed,
        skin=colour(skin),
        hair=colour(np.array(_HAIRS[hair_index]) + rng.normal(0, 5, 3)),
        iris=colour(np.array(_IRISES[int(rng.integers(len(_IRISES)))]) if tone < 2 else np.array(_IRISES[0])),
        cloth=colour(rng.uniform(15, 215) + rng.normal(0, 25, 3)),
        wall=colour(rng.uniform(40, 215) + rng.normal(0, 20, 3)),
        lips=colour(lips),
        hair_style=str(style),
        hairline=float(rng.uniform(-0.98, -0.78)),
        beard=float(rng.uniform(0.4, 1.0)) if man and rng.random() < 0.25 else 0.0,
        stubble=float(rng.uniform(0.0, 0.6)) if man else 0.0,
        freckles=float(rng.uniform(0, 1) ** 3),
        jaw_power=float(rng.uniform(1.95, 2.5)),
        jaw_round=float(rng.uniform(0.42, 0.53)),
        nose_width=float(rng.uniform(0.88, 1.2)),
        nose_height=float(rng.uniform(0.85, 1.2)),
        eye_size=float(rng.uniform(0.92, 1.12)),
        brow=float(rng.uniform(0.75, 1.15)) if man else float(rng.uniform(0.5, 0.9)),
        mouth_width=float(rng.uniform(0.37, 0.45)),
        upper_lip=float(rng.uniform(0.08, 0.125)),
        lower_lip=float(rng.uniform(0.115, 0.165)),
        teeth=float(rng.uniform(0.82, 1.05)),
        light=(float(light[0]), float(light[1]), float(light[2])),
        ambient=float(rng.uniform(0.3, 0.55)),
        shine=float(rng.uniform(0.05, 0.3)),
        age=float(rng.uniform(0, 1)),
    )


def grid(scale: float, left: float, top: float, right: float, bottom: float) -> tuple[Field, Field]:
    """x as a row (1, W) and y as a column (H, 1) of pixel centres, `scale` pixels to the unit."""
    columns = np.arange(round((right - left) * scale), dtype=np.float32)
    rows = np.arange(round((bottom - top) * scale), dtype=np.float32)
    return ((columns + 0.5) / scale + left)[None, :], ((rows + 0.5) / scale + top)[:, None]


def smooth_step(low: float, high: float, x: Reals) -> Field:
    """0 below `low`, 1 above `high`, a cubic between; `low` may be the greater one."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def bump(x: Reals, y: Reals, cx: float, cy: float, sx: float, sy: float) -> Field:
    """A Gaussian hill of height 1."""
    return np.asarray(np.exp(-0.5 * ((x - cx) / sx) ** 2) * np.exp(-0.5 * ((y - cy) / sy) ** 2), dtype=np.float32)


def pair(x: Reals, y: Reals, cx: float, cy: float, sx: float, sy: float) -> Field:
    """The same hill left and right."""
    return bump(np.abs(x), y, cx, cy, sx, sy)


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float], octaves: int = 3) -> Field:
    """Smooth noise of mean 0 and deviation about 1 with `cells` (rows, columns) blobs across the picture."""
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        rows, columns = (max(2, int(c * 2**octave)) for c in cells)
        blobs = rng.standard_normal((min(rows, shape[0]), min(columns, shape[1])), dtype=np.float32)
        total += cv2.resize(blobs, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return total


def face_width(look: Look, y: Field) -> Field:
    """Half the width of the face at height y."""
    up = np.clip(1 - np.clip(-y / 1.36, 0, 1) ** 2.4, 0, 1) ** (1 / 2.4)
    down = np.clip(1 - np.clip(y / 1.48, 0, 1) ** look.jaw_power, 0, 1) ** look.jaw_round
    return np.asarray(np.where(y < 0, up, down), dtype=np.float32)


def height(look: Look, x: Field, y: Field) -> Field:
    """How far the skin stands out towards the camera at (x, y); 0 outside the face."""
    width = face_width(look, y)
    skull = 0.92 * np.clip(width**2.5 - np.abs(x) ** 2.5, 0, None) ** 0.4
    ridge = smooth_step(-0.25, 0.5, y) * smooth_step(0.72, 0.56, y)
    nose_width = (0.075 + 0.045 * np.clip((y + 0.1) / 0.6, 0, 1)) * look.nose_width
    nose = (0.14 + 0.15 * np.clip((y + 0.1) / 0.6, 0, 1)) * ridge * np.exp(-0.5 * (x / nose_width) ** 2)
    nose = nose + 0.12 * bump(x, y, 0, NOSE_Y - 0.06, 0.105 * look.nose_width, 0.09)
    nose = nose + 0.12 * pair(x, y, 0.17 * look.nose_width, NOSE_Y - 0.01, 0.06, 0.065)
    fold = 0.27 + 0.52 * np.clip(y - 0.5, 0, 0.6)
    folds = np.exp(-0.5 * ((np.abs(x) - fold) / 0.045) ** 2) * smooth_step(0.48, 0.6, y) * smooth_step(1.05, 0.85, y)
    parts = (
        (-0.13, pair(x, y, EYE_X, 0.0, 0.24, 0.14)),
        (-0.07, pair(x, y, 0.17, -0.03, 0.07, 0.12)),
        (0.05, pair(x, y, 0.42, BROW_Y + 0.03, 0.3, 0.09)),
        (0.05, pair(x, y, EYE_X, 0.01, 0.17, 0.1)),
        (0.06, pair(x, y, 0.6, 0.3, 0.22, 0.18)),
        (0.07, bump(x, y, 0, MOUTH_Y - 0.02, 0.36, 0.24)),
        (-0.014, bump(x, y, 0, 0.75, 0.035, 0.07)),
        (0.075, bump(x, y, 0, 1.3, 0.19, 0.12)),
        (-0.045, bump(x, y, 0, 1.14, 0.24, 0.05)),
        (-(0.012 + 0.025 * look.age), folds),
        (-0.02 * look.age, pair(x, y, 0.4, 0.24, 0.2, 0.03)),
    )
    relief = np.asarray(nose * look.nose_height + sum(weight * part for weight, part in parts), dtype=np.float32)
    inside = smooth_step(0.0, 0.25, width - np.abs(x))
    return np.asarray(skull + relief * inside, dtype=np.float32)


def light_skin(look: Look, z: Field, scale: float) -> tuple[Field, Field]:
    """Brightness (1 where light falls square on) and gloss of a height field (H, W), `scale` pixels to the unit."""
    z = np.asarray(cv2.GaussianBlur(z, (0, 0), 0.018 * scale), dtype=np.float32)
    down, across = np.gradient(z, 1.0 / scale)
    length = np.sqrt(across**2 + down**2 + 1.0)
    lx, ly, lz = look.light
    facing = (-across * lx - down * ly + lz) / length
    sky = 0.5 + 0.5 * (0.35 * down / length * -1.0 + 0.85 / length)
    hollow = np.clip((cv2.GaussianBlur(z, (0, 0), 0.09 * scale) - z) * 3.2, -0.12, 0.45)
    diffuse = np.clip((facing + 0.25) / 1.25, 0, None)
    bright = (look.ambient * sky + (1.05 - look.ambient) * diffuse) * (1.0 - hollow)
    half = np.array([lx, ly, lz + 1.0]) / np.linalg.norm([lx, ly, lz + 1.0])
    gloss = np.clip((-across * half[0] - down * half[1] + half[2]) / length, 0, 1) ** 22
    return np.asarray(bright, dtype=np.float32), np.asarray(gloss, dtype=np.float32)


def tint(bright: Reals, colour: Reals) -> Field:
    """Colour (..., 3) under that brightness; shadows turn warm, as light that has passed through skin does."""
    powers = np.array([0.92, 1.05, 1.1], dtype=np.float32)
    return np.asarray(colour * np.power(np.clip(bright, 0.02, None)[..., None], powers), dtype=np.float32)


def blend(under: Reals, over: Reals | tuple[float, float, float], alpha: Reals) -> Field:
    """`over` laid on `under` (H, W, 3) by alpha (H, W)."""
    share = np.asarray(alpha, dtype=np.float32)[..., None]
    return np.asarray(under + share * (np.asarray(over, dtype=np.float32) - under), dtype=np.float32)
