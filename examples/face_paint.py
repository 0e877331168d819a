"""Paint what is the same in every frame of a drawn person: head, eyes at each lid position, room and body."""

from __future__ import annotations

import cv2
import numpy as np

from face_layers import (
    BOTTOM,
    BROW_Y,
    EYE_X,
    LEFT,
    NOSE_Y,
    RIGHT,
    TOP,
    Field,
    Look,
    blend,
    bump,
    face_width,
    grid,
    height,
    light_skin,
    noise,
    pair,
    smooth_step,
    tint,
)

EYE_TOP, EYE_BOTTOM = -0.24, 0.24


def paint_head(look: Look, scale: float) -> tuple[Field, Field, Field]:
    """The head without eyes and lips.

    Returns colour (H, W, 3) RGB 0..255, cover (H, W) 0..1 and depth (H, W) in face units, over LEFT..RIGHT and
    TOP..BOTTOM at `scale` pixels to the unit.
    """
    rng = np.random.default_rng([look.seed, 2])
    x, y = grid(scale, LEFT, TOP, RIGHT, BOTTOM)
    edge = 1.0 / scale
    shape = (y.shape[0], x.shape[1])
    strands, sheen = _hair_texture(look, x, y, rng)
    hair = np.asarray(look.hair, dtype=np.float32) * strands[..., None] + 70.0 * look.shine * sheen[..., None]

    colour = np.zeros((*shape, 3), dtype=np.float32)
    cover = np.zeros(shape, dtype=np.float32)
    outline = 1.2 + 0.02 * noise(rng, shape, (5, 3), 2)
    wide = 0.93 if look.hair_style == "long" else 0.86
    skull = smooth_step(edge, -edge, np.sqrt((x / (wide * outline)) ** 2 + ((y + 0.2) / 1.14) ** 2) - 1.1)
    if look.hair_style == "long":
        curtain = (outline + 0.05 * np.sin(2.2 * y + look.age * 6)) - np.abs(x)
        back = np.maximum(skull * (y < 0), smooth_step(-edge, edge, curtain) * (y >= -0.2))
        back *= smooth_step(2.35, 1.9, y + 0.08 * noise(rng, shape, (2, 30), 2))
        back *= np.maximum(smooth_step(0.42, 0.56, np.abs(x) + 0.02 * noise(rng, shape, (3, 30), 2)), y < 1)
        colour, cover = blend(colour, hair * 0.6, back), np.maximum(cover, back)

    z = height(look, x, y)
    bright, gloss = light_skin(look, z, scale)
    skin = _skin_colour(look, x, y, rng)
    ear = np.sqrt(((np.abs(x) - 1.0) / 0.15) ** 2 + ((y - 0.13 - 0.1 * (np.abs(x) - 1)) / 0.29) ** 2)
    ears = smooth_step(1 + 4 * edge, 1 - 4 * edge, ear)
    ear_light = 0.75 - 0.25 * bump(ear, np.zeros_like(ear), 0.45, 0, 0.22, 1) + 0.1 * np.sign(x) * look.light[0]
    colour = blend(colour, tint(ear_light, skin), ears)
    cover = np.maximum(cover, ears)

    face = smooth_step(-edge, edge, face_width(look, y) - np.abs(x)) * (y < 1.49) * (y > -1.37)
    bright = bright * (1 + 0.02 * noise(rng, shape, (60 / 2, 50 / 2), 2)) * _cast_shadows(look, x, y)
    lit = tint(bright, skin) + 255 * 0.5 * look.shine * gloss[..., None]
    colour = blend(colour, lit, face)
    cover = np.maximum(cover, face)
    colour = _brows(look, x, y, colour, rng)
    colour = _nostrils(look, x, y, colour)
    if look.beard:
        hairs = 0.75 + 0.25 * noise(rng, shape, (90, 90), 2)
        alpha = _beard_area(look, x, y) * look.beard * np.clip(0.85 + 0.2 * noise(rng, shape, (50, 60), 2), 0, 1)
        dark = np.asarray(look.hair, dtype=np.float32) * (hairs * (0.35 + 0.65 * bright))[..., None]
        colour = blend(colour, dark, alpha * face)
    if look.hair_style != "bald":
        line = look.hairline + 0.75 * np.abs(x / 0.95) ** 3 + 0.035 * noise(rng, shape, (3, 34), 3)
        front = smooth_step(0.04, -0.06, y - line) * skull
        if look.hair_style == "long":
            inner = 0.74 + 0.14 * smooth_step(-0.9, 0.3, y) + 0.04 * np.sin(2.1 * y + 5 * look.freckles)
            sides = smooth_step(-0.03, 0.04, np.abs(x) - inner) * cover * (y > look.hairline)
            front = np.maximum(front, sides)
        else:
            front *= np.maximum(smooth_step(0.02, -0.12, y), (np.abs(x) < 0.9) * smooth_step(0.22, 0.0, y))
        colour = blend(colour, hair, front)
        cover = np.maximum(cover, front)
    depth = cv2.GaussianBlur(z - 0.25, (0, 0), 0.05 * scale)
    return np.clip(colour, 0, 255), np.clip(cover, 0, 1), np.asarray(depth, dtype=np.float32)


def _skin_colour(look: Look, x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Skin before light: blood in cheeks, nose and chin, dark round the eyes, freckles, stubble, pores."""
    shape = (y.shape[0], x.shape[1])
    red = 0.5 * pair(x, y, 0.52, 0.42, 0.24, 0.2) + 0.45 * bump(x, y, 0, NOSE_Y - 0.1, 0.16, 0.13)
    red = red + 0.2 * bump(x, y, 0, 1.3, 0.2, 0.12) + 0.05 * noise(rng, shape, (9, 8), 3)
    dark = 0.5 * pair(x, y, EYE_X - 0.05, 0.06, 0.2, 0.13) * (0.5 + look.age)
    skin = np.asarray(look.skin, dtype=np.float32) * np.ones((*shape, 1), dtype=np.float32)
    skin = skin * (1 - red[..., None] * np.array([0.02, 0.2, 0.16], dtype=np.float32))
    skin = skin * (1 - dark[..., None] * np.array([0.2, 0.22, 0.16], dtype=np.float32))
    spots = np.clip(noise(rng, shape, (70, 60), 1) - 1.7, 0, 1) * pair(x, y, 0.4, 0.35, 0.3, 0.2)
    skin = skin * (1 - 0.35 * look.freckles * spots[..., None])
    shave = look.stubble * _beard_area(look, x, y) * np.clip(0.7 + 0.25 * noise(rng, shape, (120, 110), 1), 0, 1)
    skin = skin * (1 - shave[..., None] * np.array([0.36, 0.32, 0.26], dtype=np.float32))
    pores = 0.012 * rng.standard_normal(shape, dtype=np.float32) + 0.018 * noise(rng, shape, (40, 36), 2)
    return np.asarray(skin * (1 + pores[..., None]), dtype=np.float32)


def _beard_area(look: Look, x: Field, y: Field) -> Field:
    jaw = smooth_step(-0.1, 0.1, y - (1.06 - 0.75 * np.abs(x) ** 1.5)) * (y > 0)
    lip = smooth_step(0.12, 0.02, np.abs(y - 0.77 - 0.3 * x**2) - 0.02) * smooth_step(0.5, 0.38, np.abs(x))
    return np.asarray(np.maximum(jaw, lip) * smooth_step(0.62, 0.72, y + 0.5 * np.abs(x)), dtype=np.float32)


def _cast_shadows(look: Look, x: Field, y: Field) -> Field:
    """What the height field cannot know: shade under nose and brow, under the hair, and where cheek meets ear."""
    side = look.light[0]
    shade = 1 - 0.3 * bump(x, y, -0.12 * side, NOSE_Y + 0.13, 0.17 * look.nose_width, 0.05)
    shade = shade * (1 - 0.22 * pair(x, y, EYE_X - 0.1, -0.1, 0.2, 0.05))
    shade = shade * (1 - 0.2 * smooth_step(0.8, 1.02, np.abs(x) / np.maximum(face_width(look, y), 0.05)))
    if look.hair_style != "bald":
        shade = shade * (1 - 0.25 * smooth_step(0.16, -0.05, y - look.hairline - 0.75 * np.abs(x / 0.95) ** 3))
    return np.asarray(shade, dtype=np.float32)


def _brows(look: Look, x: Field, y: Field, colour: Field, rng: np.random.Generator) -> Field:
    along = np.clip((np.abs(x) - 0.16) / 0.62, 0, 1)
    middle = BROW_Y - 0.075 * np.sin(np.pi * np.clip(along * 0.95 - 0.05, 0, 1)) + 0.05 * along
    thick = look.brow * 0.052 * np.clip(np.minimum(0.55 + along * 3, (1 - along) * 1.7), 0.0, 1)
    alpha = smooth_step(1.25, 0.45, np.abs(y - middle) / np.maximum(thick, 1e-3))
    alpha = alpha * smooth_step(0.15, 0.2, np.abs(x)) * smooth_step(0.79, 0.74, np.abs(x))
    alpha = alpha * np.clip(0.75 + 0.2 * noise(rng, alpha.shape, (40, 110), 2), 0, 1)
    dark = np.asarray(look.hair, dtype=np.float32) * 0.6
    return blend(colour, np.asarray(dark, dtype=np.float32), alpha * 0.85)


def _nostrils(look: Look, x: Field, y: Field, colour: Field) -> Field:
    wide = look.nose_width
    hole = smooth_step(1.5, 0.6, ((np.abs(x) - 0.1 * wide) / 0.055) ** 2 + ((y - NOSE_Y - 0.035) / 0.028) ** 2)
    wing = np.exp(-0.5 * ((np.hypot((np.abs(x) - 0.17 * wide), (y - NOSE_Y + 0.02) * 0.85) - 0.085) / 0.014) ** 2)
    wing = wing * smooth_step(0.16, 0.22, np.abs(x) / wide) * smooth_step(-0.1, 0.02, y - NOSE_Y + 0.05)
    dark = np.asarray(look.skin, dtype=np.float32) * np.array([0.28, 0.18, 0.16], dtype=np.float32)
    colour = blend(colour, dark, 0.85 * hole)
    return blend(colour, dark, 0.3 * wing)


def _hair_texture(look: Look, x: Field, y: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Strands (about 1) and sheen (0..1): concentric about the face when long, from the crown when short."""
    low = np.minimum(y + 0.2, 0)
    radius = np.sqrt(x**2 + low**2)
    angle = np.arctan2(x + 1e-6, -low + 1e-3)
    across, along = (radius, angle + y) if look.hair_style == "long" else (angle, radius)
    sheet = noise(rng, (512, 512), (8, 90), 3)
    map_x = ((across - across.min()) / np.ptp(across) * 511).astype(np.float32)
    map_y = ((along - along.min()) / np.ptp(along) * 511).astype(np.float32)
    strands = cv2.remap(sheet, map_x, map_y, cv2.INTER_LINEAR)
    depth = 0.85 + 0.1 * smooth_step(-0.6, -1.2, y) - 0.3 * smooth_step(0.2, 1.6, y)
    sheen = np.exp(-0.5 * ((radius - 1.02) / 0.1) ** 2) * (y < 0.2) * np.clip(0.6 + 0.3 * strands, 0, 1)
    return np.asarray(depth * (1 + 0.17 * strands), dtype=np.float32), np.asarray(sheen, dtype=np.float32)


def paint_eyes(look: Look, scale: float, skin: Field, top: float, closed: float) -> Field:
    """Both eyes with their lids `closed` 0..1, on the strip `skin` (h, W, 3) of the head that begins at `top`."""
    strip_x, strip_y = grid(scale, LEFT, top, RIGHT, top + skin.shape[0] / scale)
    y = strip_y[: skin.shape[0]]
    x = np.asarray(strip_x[:, : skin.shape[1]])
    size, soft = look.eye_size, max(1.2 / scale, 0.008)
    across = (np.abs(x) - EYE_X) / (0.205 * size)
    arch = np.clip(1 - across**2, 0, None)
    rest = -0.098 * size * arch**0.8 - 0.012 * across
    lower = 0.06 * size * arch - 0.012 * across
    upper = rest + (lower - rest) * 0.97 * closed
    inside = smooth_step(-soft, soft, y - upper) * smooth_step(soft, -soft, y - lower) * (np.abs(across) < 1)
    crease = np.exp(-0.5 * ((y - upper * 0.6 - rest * 0.4 + 0.055) / 0.016) ** 2)
    crease = crease * smooth_step(1.2, 0.7, np.abs(across))
    strip = np.asarray(skin * (1 - 0.35 * (1 - closed) * crease[..., None]), dtype=np.float32)
    gaze = 0.012 * np.sin(look.seed)
    radius = np.hypot(x - np.sign(x) * EYE_X - gaze, y + 0.006) / (0.098 * size)
    white = (0.5 + 0.5 * look.ambient + 0.3 * look.light[2]) * (1 - 0.35 * across**2)
    white = white * smooth_step(-0.03, 0.09, y - upper)
    ball: Field = np.asarray(np.array([226, 220, 214]) * white[..., None], dtype=np.float32)
    iris = np.asarray(look.iris, dtype=np.float32) * (0.65 + 0.55 * np.clip(radius, 0, 1) * (y > -0.02))[..., None]
    ball = blend(ball, iris * (1 - 0.5 * smooth_step(0.8, 1.0, radius))[..., None], smooth_step(1.06, 0.92, radius))
    ball = blend(ball, (12, 10, 10), smooth_step(0.5, 0.4, radius))
    spark = np.hypot(x - np.sign(x) * EYE_X - gaze - 0.3 * look.light[0] * 0.1, y + 0.035) / 0.022
    ball = blend(ball, (250, 250, 250), 0.9 * smooth_step(1.2, 0.6, spark))
    strip = blend(strip, ball, inside)
    lash = np.exp(-0.5 * ((y - upper + 0.004) / 0.014) ** 2) * (np.abs(across) < 1.05)
    under = np.exp(-0.5 * ((y - lower - 0.004) / 0.01) ** 2) * (np.abs(across) < 1)
    dark = np.asarray(look.hair, dtype=np.float32) * 0.4
    strip = blend(strip, dark, 0.8 * lash)
    return blend(strip, dark, 0.25 * under)


def paint_plate(look: Look, width: int, height_px: int, centre: tuple[float, float], scale: float) -> Field:
    """The room with neck and shoulders, (height, width, 3), the face's origin at pixel `centre`."""
    rng = np.random.default_rng([look.seed, 3])
    shape = (height_px, width)
    x = ((np.arange(width, dtype=np.float32) + 0.5 - centre[0]) / scale)[None, :]
    y = ((np.arange(height_px, dtype=np.float32) + 0.5 - centre[1]) / scale)[:, None]
    wall = np.asarray(look.wall, dtype=np.float32) * (1 + 0.12 * noise(rng, shape, (2, 2), 1))[..., None]
    mean = np.asarray(look.wall, dtype=np.float32)
    for _ in range(int(rng.integers(0, 7))):
        left, top = rng.uniform(-3, 2.5), rng.uniform(-2.4, 1.5)
        right, low = left + rng.uniform(0.2, 2.0), top + rng.uniform(0.2, 2.5)
        box = smooth_step(0, 0.1, np.minimum(x - left, right - x)) * smooth_step(0, 0.1, np.minimum(y - top, low - y))
        r, g, b = np.clip(0.4 * mean + 0.6 * (rng.uniform(10, 245) + rng.normal(0, 22, 3)), 0, 255)
        wall = blend(wall, (float(r), float(g), float(b)), 0.7 * box)
    room = np.asarray(cv2.GaussianBlur(wall, (0, 0), max(0.05 * scale, 0.5)), dtype=np.float32)
    edge = 1.0 / scale
    slope = 1.72 + 0.3 * np.clip(np.abs(x) - 0.45, 0, None) ** 0.9 + 0.25 * np.clip(np.abs(x) - 1.6, 0, None) ** 2
    body = smooth_step(-2 * edge, 2 * edge, y - slope)
    folds = 1 + 0.06 * noise(rng, shape, (4, 10), 3) - 0.18 * np.abs(x) / 2 + 0.15 * x * look.light[0]
    room = blend(room, np.asarray(look.cloth, dtype=np.float32) * folds[..., None], body)
    open_neck = smooth_step(-2 * edge, 2 * edge, 0.5 - np.abs(x) - 0.5 * np.clip(y - 1.75, 0, None)) * (y > 0.5)
    turn = np.sqrt(np.clip(1 - (x / 0.62) ** 2, 0.05, 1))
    shade = (look.ambient + (1 - look.ambient) * turn) * (0.9 + 0.4 * look.light[0] * x)
    shade = shade * (0.48 + 0.42 * smooth_step(1.35, 1.85, y + 0.35 * x**2)) * (1 + 0.02 * noise(rng, shape, (9, 9), 2))
    neck = tint(shade, np.asarray(look.skin, dtype=np.float32))
    room = blend(room, neck, open_neck)
    return np.clip(room, 0, 255)
