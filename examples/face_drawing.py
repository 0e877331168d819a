"""Draw one frame of a talking face: bend the jaw, paint the mouth, set the lids, turn the head, lay it on the room."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from face_layers import (
    BOTTOM,
    LEFT,
    LID_STEPS,
    MOUTH_Y,
    RIGHT,
    TOP,
    Field,
    Image,
    Look,
    blend,
    grid,
    noise,
    smooth_step,
)
from face_paint import EYE_BOTTOM, EYE_TOP, paint_eyes, paint_head, paint_plate

_JAW_TOP, _JAW_BOTTOM, _JAW_SIDE = 0.45, 2.0, 1.12
_LIPS_TOP, _LIPS_BOTTOM, _LIPS_SIDE = 0.6, 1.6, 0.66


@dataclass(frozen=True)
class Mouth:
    """The shape of a mouth: lengths in face units, the rest 0..1."""

    jaw: float = 0.0  # how far the chin has dropped
    gap: float = 0.0  # height of the opening between the lips
    wide: float = 0.0  # -1 drawn in .. +1 spread
    rounded: float = 0.0  # pushed forward, thick
    press: float = 0.0  # lips pressed together, thin
    tuck: float = 0.0  # lower lip against the upper teeth
    tongue: float = 0.0  # tip of the tongue raised to the teeth
    lift: float = 0.0  # upper lip raised


@dataclass(frozen=True)
class Pose:
    """Where the head is: shift in face units, angles in radians, lids 0 open .. 1 closed."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    lids: float = 0.0


@dataclass(frozen=True)
class LipShape:
    """Contours of the lips per column, face units; `across` is -1 at the left corner and +1 at the right one."""

    half_width: float
    across: Field
    upper_outer: Field
    upper_inner: Field
    lower_inner: Field
    lower_outer: Field
    lower_shift: float  # how far the skin under the lower lip has moved down


def lip_shape(look: Look, mouth: Mouth, x: Field) -> LipShape:
    """The four contours of the lips at the columns x (1, W)."""
    stretch = 0.17 * max(mouth.wide, 0.0) + 0.2 * min(mouth.wide, 0.0) - 0.3 * mouth.rounded - 0.25 * mouth.gap
    half_width = look.mouth_width * (1 + stretch)
    thin = (1 - 0.45 * mouth.press) * (1 + 0.12 * mouth.rounded - 0.12 * max(mouth.wide, 0.0))
    upper = look.upper_lip * thin * (1 - 2.5 * mouth.lift - 0.4 * mouth.gap)
    lower = look.lower_lip * thin * (1 - 0.45 * mouth.tuck - 0.25 * mouth.gap)
    across = np.asarray(x / half_width, dtype=np.float32)
    arch = np.clip(1 - across**2, 0, None)
    seam = MOUTH_Y + 0.14 * mouth.jaw
    top = seam - mouth.lift - 0.16 * mouth.gap - 0.012 * mouth.rounded
    bottom = top + mouth.lift + mouth.gap
    corner = seam - 0.026 + 0.3 * mouth.gap - 0.012 * max(mouth.wide, 0.0)
    power = 0.85 - 0.3 * mouth.rounded
    wave = 0.012 * (np.cos(3.3 * across) - 0.3) * (1 - mouth.rounded) * arch
    upper_inner = corner + (top - corner) * arch**power + wave
    lower_inner = np.maximum(corner + (bottom - corner) * arch**power + wave, upper_inner)
    bow = 1 - 0.2 * np.exp(-((across / 0.13) ** 2)) + 0.1 * np.exp(-(((np.abs(across) - 0.27) / 0.16) ** 2))
    upper_outer = upper_inner - upper * arch**0.55 * bow
    lower_outer = lower_inner + lower * arch**0.66
    lower_shift = float(bottom + lower - MOUTH_Y - look.lower_lip)

    def f(values: Field) -> Field:
        return np.asarray(values, dtype=np.float32)

    return LipShape(half_width, across, f(upper_outer), f(upper_inner), f(lower_inner), f(lower_outer), lower_shift)


class Face:
    """One person in one room, ready to be drawn at any moment; pictures are (height, width, 3) uint8 RGB."""

    def __init__(self, look: Look, width: int, height: int, centre: tuple[float, float], scale: float) -> None:
        """`centre` is the pixel midway between the eyes and `scale` the pixels of half the width of the face."""
        self.look = look
        self.size = (width, height)
        self.centre, self.scale = centre, scale
        self.plate = paint_plate(look, width, height, centre, scale)
        self.detail = max(1.25 * scale, 36.0)
        colour, cover, depth = paint_head(look, 2 * self.detail)
        top = round((EYE_TOP - TOP) * 2 * self.detail)
        bottom = round((EYE_BOTTOM - TOP) * 2 * self.detail)
        half = (round((RIGHT - LEFT) * self.detail), round((BOTTOM - TOP) * self.detail))
        heads = []
        for step in range(LID_STEPS):
            eyed = colour.copy()
            eyed[top:bottom] = paint_eyes(look, 2 * self.detail, colour[top:bottom], EYE_TOP, step / (LID_STEPS - 1))
            layer = np.dstack([eyed * cover[..., None], 255 * cover])
            heads.append(np.clip(cv2.resize(layer, half, interpolation=cv2.INTER_AREA), 0, 255))
        self._heads = [head.astype(np.uint8) for head in heads]
        self._depth = cv2.resize(cv2.GaussianBlur(depth, (0, 0), 0.1 * self.detail), half, interpolation=cv2.INTER_AREA)
        self._prepare_jaw(np.asarray(heads[0], dtype=np.float32))
        rng = np.random.default_rng([look.seed, 4])
        self._wrinkles = noise(rng, (1, 256), (1, 70), 2)[0]
        tile = rng.standard_normal((height + 64, width + 64), dtype=np.float32)
        self._grain = rng.uniform(0.3, 2.2) * cv2.GaussianBlur(tile, (0, 0), 0.6)
        self._soft = float(rng.uniform(0, 0.7)) if rng.random() < 0.5 else 0.0

    def _box(self, side: float, top: float, bottom: float) -> tuple[slice, slice, Field, Field]:
        x, y = grid(self.detail, LEFT, TOP, RIGHT, BOTTOM)
        rows = slice(int(np.searchsorted(y[:, 0], top)), int(np.searchsorted(y[:, 0], bottom)))
        columns = slice(int(np.searchsorted(x[0], -side)), int(np.searchsorted(x[0], side)))
        return rows, columns, x[:, columns], y[rows]

    def _prepare_jaw(self, head: Field) -> None:
        self._jaw_rows, self._jaw_columns, x, y = self._box(_JAW_SIDE, _JAW_TOP, _JAW_BOTTOM)
        self._jaw_x, self._jaw_y = x, y
        self._jaw_skin = np.ascontiguousarray(head[self._jaw_rows, self._jaw_columns])
        spread = 0.1 + 0.5 * np.clip(np.abs(x) / self.look.mouth_width, 0, 1.4) ** 2
        self._jaw_sharp = np.asarray(1 / spread, dtype=np.float32)
        self._jaw_part = (1 - 0.45 * smooth_step(0.35, 0.95, np.abs(x))) * smooth_step(1.1, 0.98, np.abs(x))
        self._columns = np.arange(x.shape[1], dtype=np.float32)[None, :]
        self._rows = np.arange(y.shape[0], dtype=np.float32)[:, None]
        self._lip_rows, self._lip_columns, self._lip_x, self._lip_y = self._box(_LIPS_SIDE, _LIPS_TOP, _LIPS_BOTTOM)

    def draw(self, mouth: Mouth, pose: Pose, moment: int = 0) -> Image:
        """The picture of that mouth in that pose; `moment` chooses the grain of the camera."""
        head = self._heads[min(int(pose.lids * (LID_STEPS - 1) + 0.5), LID_STEPS - 1)].copy()
        lips = lip_shape(self.look, mouth, self._lip_x)
        jaw = self._bend_jaw(mouth, lips)
        rows = slice(self._lip_rows.start - self._jaw_rows.start, self._lip_rows.stop - self._jaw_rows.start)
        columns = slice(
            self._lip_columns.start - self._jaw_columns.start, self._lip_columns.stop - self._jaw_columns.start
        )
        jaw[rows, columns, :3] = self._paint_mouth(jaw[rows, columns, :3], mouth, lips)
        head[self._jaw_rows, self._jaw_columns] = cv2.convertScaleAbs(jaw)
        return self._place(head, pose, moment)

    def _bend_jaw(self, mouth: Mouth, lips: LipShape) -> Field:
        """The lower face (h, w, 4) with the jaw dropped and the skin drawn along by the lips."""
        x, y = self._jaw_x, self._jaw_y
        middle = MOUTH_Y + 0.3 * mouth.gap + 0.1 * mouth.jaw
        t = np.clip((y - middle) * self._jaw_sharp + 0.5, 0, 1)
        below = t * t * (3 - 2 * t) * self._jaw_part
        chin = smooth_step(MOUTH_Y + 0.12 + lips.lower_shift, 1.4 + mouth.jaw, y)
        down = below * (lips.lower_shift + (mouth.jaw - lips.lower_shift) * chin)
        down -= mouth.lift * np.exp(-0.5 * (x / 0.3) ** 2) * np.exp(-0.5 * ((y - 0.82) / 0.07) ** 2)
        rest = self.look.mouth_width
        pull = (lips.half_width - rest) * np.exp(-0.5 * ((np.abs(x) - rest - 0.04) / 0.17) ** 2) * np.sign(x)
        pull *= smooth_step(0.86, 0.55, np.abs(x))
        side = pull * np.exp(-0.5 * ((y - middle) / 0.17) ** 2) - 0.14 * mouth.jaw * x * below
        map_x = self._columns - self.detail * side
        map_y = self._rows - self.detail * down
        return np.asarray(
            cv2.remap(
                self._jaw_skin,
                np.asarray(map_x, dtype=np.float32),
                np.asarray(map_y, dtype=np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def _paint_mouth(self, skin: Field, mouth: Mouth, lips: LipShape) -> Field:
        """Lips, teeth, tongue and the dark between them on bent skin (h, w, 3)."""
        look, x, y = self.look, self._lip_x, self._lip_y
        soft = 0.7 / self.detail
        arch = np.clip(1 - lips.across**2, 0, None)
        lamp = 0.62 + 0.3 * look.light[2] + 0.3 * look.light[0] * x

        under = np.exp(-0.5 * ((y - lips.lower_outer - 0.05) / 0.045) ** 2) * arch * (y > lips.lower_outer)
        crest = np.exp(-0.5 * ((y - lips.upper_outer + 0.02) / 0.018) ** 2) * arch
        fold = np.exp(-0.5 * ((np.abs(x) - lips.half_width - 0.1) / 0.03) ** 2)
        fold = fold * np.exp(-0.5 * ((y - lips.upper_inner.max()) / 0.12) ** 2)
        shade = 1 - (0.26 + 0.12 * mouth.rounded) * under + 0.07 * crest
        shade = shade - (0.05 + 0.12 * max(mouth.wide, 0) + 0.05 * look.age) * fold
        out = skin * shade[..., None]

        inside = smooth_step(-soft, soft, y - lips.upper_inner) * smooth_step(-soft, soft, lips.lower_inner - y)
        inside *= np.abs(lips.across) < 1
        if mouth.gap > 0.004:
            out = blend(out, self._cavity(mouth, lips, lamp), inside)

        red = np.asarray(look.lips, dtype=np.float32)
        grooves = 1 + 0.035 * np.interp(lips.across[0] * 100 + 128, np.arange(256), self._wrinkles)[None, :]
        span = np.maximum(lips.upper_inner - lips.upper_outer, 1e-3)
        v = np.clip((y - lips.upper_outer) / span, 0, 1)
        tone = (0.92 - 0.32 * v**1.5 + 0.05 * mouth.rounded) * lamp * grooves
        alpha = smooth_step(-2.2 * soft - 0.008, 2 * soft + 0.008, y - lips.upper_outer)
        alpha = alpha * smooth_step(soft, -soft, y - lips.upper_inner) * smooth_step(1.0, 0.93, np.abs(lips.across))
        out = blend(out, red * tone[..., None], 0.93 * alpha)

        span = np.maximum(lips.lower_outer - lips.lower_inner, 1e-3)
        v = np.clip((y - lips.lower_inner) / span, 0, 1)
        tone = (0.88 + 0.3 * np.sin(np.pi * np.clip(v * 0.9 + 0.1, 0, 1)) - 0.28 * v**2) * lamp * grooves
        glint = look.shine * 0.9 * np.exp(-0.5 * ((v - 0.38) / 0.16) ** 2) * np.exp(-0.5 * (lips.across / 0.45) ** 2)
        glint = glint * (0.8 + 0.3 * grooves * np.cos(9 * lips.across))
        alpha = smooth_step(2.2 * soft + 0.012, -2 * soft - 0.012, y - lips.lower_outer)
        alpha = alpha * smooth_step(-soft, soft, y - lips.lower_inner) * smooth_step(1.0, 0.93, np.abs(lips.across))
        lower = red * tone[..., None] + 130 * glint[..., None]
        out = blend(out, lower, 0.9 * alpha)

        seam = np.exp(-0.5 * ((y - lips.upper_inner) / (0.01 + soft)) ** 2)
        seam = seam * smooth_step(1.02, 0.85, np.abs(lips.across))
        corners = np.exp(-0.5 * (((np.abs(lips.across) - 0.97) / 0.05) ** 2)) * np.exp(
            -0.5 * ((y - lips.upper_inner) / 0.018) ** 2
        )
        dark = np.clip(0.62 * seam + 0.35 * corners, 0, 0.75)
        return np.asarray(np.clip(out * (1 - dark[..., None] * np.array([0.75, 0.9, 0.9])), 0, 255), dtype=np.float32)

    def _cavity(self, mouth: Mouth, lips: LipShape, lamp: Field) -> Field:
        """What is seen between open lips: dark throat, tongue, lower and upper teeth."""
        look, x, y = self.look, self._lip_x, self._lip_y
        deep = np.clip(1 - 0.9 * np.abs(lips.across) ** 2, 0.2, 1) * np.ones_like(y)
        out = np.asarray(deep[..., None] * np.array([58, 24, 24], dtype=np.float32) * (0.6 + 0.2 * lamp[..., None]))
        tip = MOUTH_Y + 0.12 + 0.75 * mouth.jaw - mouth.tongue * (0.06 + 0.65 * mouth.jaw)
        tongue = smooth_step(-0.03, 0.04, y - tip - 0.35 * x**2) * smooth_step(0.3, 0.2, np.abs(x))
        flesh = np.array([176, 88, 84], dtype=np.float32) * (0.55 * lamp + 0.08)[..., None]
        out = blend(out, flesh, 0.85 * tongue)
        gums = smooth_step(0.34, 0.22, np.abs(x))
        gaps = 1 - 0.35 * np.exp(-((np.mod(np.abs(x) / 0.075, 1.0) - 0.5) ** 2) / 0.004) * (np.abs(x) > 0.01)
        ivory = np.array([236, 226, 204], dtype=np.float32) * look.teeth * lamp[..., None]
        ivory = ivory * (gums * gaps)[..., None]
        soft = 1.2 / self.detail
        lower_edge = MOUTH_Y + 0.085 + 0.86 * mouth.jaw + 0.25 * x**2
        lower = smooth_step(-soft, soft, y - lower_edge) * gums
        out = blend(out, 0.7 * ivory, 0.9 * lower)
        upper_edge = MOUTH_Y + 0.055 - 0.3 * x**2
        upper = smooth_step(soft, -soft, y - upper_edge) * gums
        shadow = 0.66 + 0.34 * smooth_step(0.0, 0.05, y - lips.upper_inner)
        return blend(out, ivory * shadow[..., None], upper)

    def _place(self, head: Image, pose: Pose, moment: int) -> Image:
        """Turn and move the head (H, W, 4) and lay it over the room."""
        width, height = self.size
        size = self.scale * pose.zoom
        cx, cy = self.centre[0] + pose.x * self.scale, self.centre[1] + pose.y * self.scale
        margin = 0.12 + abs(pose.roll) * 2
        x0 = int(np.clip(cx + (LEFT - margin) * size, 0, width))
        x1 = int(np.clip(cx + (RIGHT + margin) * size, 0, width))
        y0 = int(np.clip(cy + (TOP - margin) * size, 0, height))
        y1 = int(np.clip(cy + (BOTTOM + margin) * size, 0, height))
        picture = self.plate.copy()
        if x1 > x0 and y1 > y0:
            across = (np.arange(x0, x1, dtype=np.float32)[None, :] + 0.5 - cx) / size
            down = (np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - cy) / size
            cos, sin = float(np.cos(pose.roll)), float(np.sin(pose.roll))
            # the head rolls about the neck, 1.6 units under the eyes
            u = (cos * across + sin * (down - 1.6)) / float(np.cos(pose.yaw))
            v = (cos * (down - 1.6) - sin * across + 1.6) / float(np.cos(pose.pitch))
            map_x = np.asarray((u - LEFT) * self.detail - 0.5, dtype=np.float32)
            map_y = np.asarray((v - TOP) * self.detail - 0.5, dtype=np.float32)
            turn_x, turn_y = self.detail * float(np.sin(pose.yaw)), self.detail * float(np.sin(pose.pitch))
            src_x, src_y = map_x, map_y
            for _ in range(2):
                z = np.asarray(cv2.remap(self._depth, src_x, src_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
                src_x, src_y = map_x - turn_x * z, map_y - turn_y * z
            layer = cv2.remap(head, src_x, src_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            keep = 1.0 - layer[..., 3:].astype(np.float32) / 255.0
            picture[y0:y1, x0:x1] = picture[y0:y1, x0:x1] * keep + layer[..., :3]
        if self._soft:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), self._soft * max(self.scale / 55, 0.3)), np.float32)
        top, left = (moment * 37) % 64, (moment * 23) % 64
        picture += self._grain[top : top + height, left : left + width, None]
        return np.asarray(cv2.convertScaleAbs(picture), dtype=np.uint8)
