"""Where faces and mouths are in a grey picture: found by a strong cascade, followed by a cheap landmark network.

Landmarks: Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019: 468
points in three dimensions. Networks and licences: weights/faces.

Pictures are luma planes, `(H, W)` uint8, limited range (16 to 235). Positions are in pixels, x to the right, y down,
the middle of the first pixel at (0, 0). Left and right are as one looks at the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.cascade import Cascade, network, overlaps

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_FACE = 40  # pixels; width of the smallest face looked for
PRESENT = 0.5  # landmark score under which there is no face

_ROOM = 1.5  # the landmark network's square over the longer side of the face
_MESH = 192  # pixels, side of that square
# Numbers of points in the mesh of 468, as drawn at https://github.com/google-ai-edge/mediapipe (canonical face model)
_LEFT_EYE, _RIGHT_EYE = (33, 133), (263, 362)  # outer, inner corner
_MOUTH = (61, 291)  # corners
_INNER_LIPS = (13, 14)  # upper, lower
_NOSE_TIP, _NOSE_BASE = 1, 2
_CHEEKS = (234, 454)
_TRIANGLE_PER_EYES = 2.54  # way round the outer eye corners and the nose base over the distance of the corners: median
_EYES_PER_PUPILS = 1.45  # distance of the outer eye corners over that of the eyes' middles
_EYES_PER_HEIGHT = 0.9  # distance of the eyes' middles over their height above the mouth


@dataclass(frozen=True)
class Face:
    """A face in one picture.

    `box`: x0, y0, x1, y1, forehead to chin; its sides are upright and have the lengths of the level face whatever the
    roll. `score`: 0 to 1. `mouth`: midway between the mouth's corners. `eyes`: middles of the left and the right eye.
    `nose`: its tip. `size`: distance of the outer eye corners in pixels, as if the face were turned to the camera;
    turning the head and opening the jaw leave it. `roll`: radians, positive when the right eye is the lower one. `yaw`:
    degrees, roughly; positive when the face looks to the right of the picture. `mouth_open`: gap between the inner lips
    over `size`; 0 where it was not measured.
    """

    box: Box
    score: float
    mouth: Point
    eyes: tuple[Point, Point]
    nose: Point
    size: float
    roll: float
    yaw: float
    mouth_open: float = 0.0


class FaceFinder:
    """Finds the faces in a picture without knowing where they were before."""

    def __init__(self, min_face: int = MIN_FACE, threads: int = 1) -> None:
        """`min_face`: pixels, at least 20. `threads`: for each network; one is best for networks as small as these."""
        if min_face < 20:
            raise ValueError(f"min_face must be at least 20 pixels, not {min_face}")
        self._cascade = Cascade(min_face, threads)
        self._follower = FaceFollower(threads)

    def __call__(self, luma: Gray) -> list[Face]:
        """Candidates of the cascade alone, surest first; some are no faces; size, roll and yaw are from five points."""
        boxes, points = self._cascade(_stretch(luma))
        return [_face_from_points(box, five) for box, five in zip(boxes, points, strict=True)]

    def locate(self, luma: Gray) -> list[Face]:
        """Faces measured as `FaceFollower` does, surest first; only those that the landmark network confirms."""
        found: list[Face] = []
        for candidate in self(luma):
            face = self._follower(luma, candidate)
            face = self._follower(luma, face) if face else None  # once more, from its own better place
            if face and all(overlap(face.box, other.box) < 0.5 for other in found):
                found.append(face)
        return found


class FaceFollower:
    """Measures a face whose place is known from the picture before."""

    def __init__(self, threads: int = 1) -> None:
        self._net = network("face_landmark", threads)

    def __call__(self, luma: Gray, face: Face) -> Face | None:
        """The same face in this picture, or None where it is lost."""
        mesh, score = self.mesh(luma, face)
        if score < PRESENT:
            return None
        return face_from_mesh(mesh, score)

    def mesh(self, luma: Gray, face: Face) -> tuple[Floats, float]:
        """The 468 points `(468, 3)` in pixels of the picture (z away from the camera, same scale) and the score."""
        x0, y0, x1, y1 = face.box
        side = _ROOM * max(x1 - x0, y1 - y0)
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        mesh, score = self._net.run(None, {"picture": _rotated_square(luma, centre, side, face.roll)[None, None]})
        points = mesh[0] * (side / _MESH)
        points[:, :2] = (points[:, :2] - side / 2) @ _rotation(face.roll).T + centre
        return points, float(score[0, 0])


def face_from_mesh(mesh: Floats, score: float) -> Face:
    """What `Face` says of 468 points `(468, 3)`."""
    flat = mesh[:, :2]
    mouth = flat[[*_MOUTH]].mean(axis=0)
    left, right = flat[[*_LEFT_EYE]].mean(axis=0), flat[[*_RIGHT_EYE]].mean(axis=0)
    roll = _roll(flat[_LEFT_EYE[0]], flat[_RIGHT_EYE[0]], mouth)
    level = flat @ _rotation(roll)
    low, high = level.min(axis=0), level.max(axis=0)
    centre, half = _rotation(roll) @ ((low + high) / 2), (high - low) / 2
    size = face_size(mesh)
    across = (mesh[_CHEEKS[1]] - mesh[_CHEEKS[0]]) @ _deep_rotation(roll)
    gap = float(np.linalg.norm(mesh[_INNER_LIPS[1]] - mesh[_INNER_LIPS[0]]))
    return Face(
        box=(*_point(centre - half), *_point(centre + half)),
        score=score,
        mouth=_point(mouth),
        eyes=(_point(left), _point(right)),
        nose=_point(flat[_NOSE_TIP]),
        size=size,
        roll=roll,
        yaw=float(np.degrees(np.arctan2(across[2], across[0]))),
        mouth_open=gap / size if size else 0.0,
    )


def face_size(mesh: Floats) -> float:
    """Distance of the outer eye corners in the units of the mesh `(468, 3)`, from the triangle of eyes and nose base.

    The way round that triangle in space jitters a fifth less than the distance itself, and jaw and lips do not move it.
    """
    left, right, nose = mesh[[_LEFT_EYE[0], _RIGHT_EYE[0], _NOSE_BASE]]
    around = sum(float(np.linalg.norm(a - b)) for a, b in ((left, right), (right, nose), (nose, left)))
    return around / _TRIANGLE_PER_EYES


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    return float(overlaps(np.array(a, float), np.array([b], float))[0])


def _rotated_square(luma: Gray, centre: NDArray[np.float64], side: float, roll: float) -> Gray:
    """The square about `centre`, turned by `roll`, as `(192, 192)`; black outside the picture."""
    scale = side / _MESH  # pixels of the picture per pixel of the square
    reach = side * 0.75  # its half diagonal, and a little
    (height, width), (x, y) = luma.shape, centre
    x0, x1 = (int(np.clip(v, 0, width)) for v in (x - reach, x + reach))
    y0, y1 = (int(np.clip(v, 0, height)) for v in (y - reach, y + reach))
    if x1 <= x0 or y1 <= y0:
        return np.zeros((_MESH, _MESH), np.uint8)
    near: NDArray[Any] = luma[y0:y1, x0:x1]
    shrink = max(1, round(scale))
    if shrink > 1:  # average first: plain bilinear sampling would alias
        columns, rows = max(1, (x1 - x0) // shrink), max(1, (y1 - y0) // shrink)
        x1, y1 = min(x1, x0 + columns * shrink), min(y1, y0 + rows * shrink)  # whole pixels: many times faster
        near = cv2.resize(luma[y0:y1, x0:x1], (columns, rows), interpolation=cv2.INTER_AREA)
    fx, fy = near.shape[1] / (x1 - x0), near.shape[0] / (y1 - y0)
    turn = _rotation(roll) * scale
    start = centre - turn @ np.full(2, _MESH / 2 - 0.5)  # of the square's first pixel, in the picture
    to_near = np.array(
        [
            [turn[0, 0] * fx, turn[0, 1] * fx, (start[0] - x0 + 0.5) * fx - 0.5],
            [turn[1, 0] * fy, turn[1, 1] * fy, (start[1] - y0 + 0.5) * fy - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(near, to_near, (_MESH, _MESH), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=16)
    return _stretch(np.asarray(square, np.uint8))


def _face_from_points(box: Floats, points: Floats) -> Face:
    """A face from the cascade's five points `(5, 2)`: left eye, right eye, nose, left and right corner of the mouth."""
    left, right, nose = points[:3]
    mouth, eyes = points[3:].mean(axis=0), (left + right) / 2
    roll = _roll(left, right, mouth)
    level = (points - eyes) @ _rotation(roll)
    high, wide = max(float(level[3:, 1].mean()), 1e-3), max(float(level[1, 0] - level[0, 0]), 1e-3)
    pupils = max(wide, _EYES_PER_HEIGHT * high)
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    return Face(
        box=(x0, y0, x1, y1),
        score=float(box[4]),
        mouth=_point(mouth),
        eyes=(_point(left), _point(right)),
        nose=_point(nose),
        size=_EYES_PER_PUPILS * pupils,
        roll=roll,
        yaw=float(np.degrees(np.arctan2(2 * level[2, 0], pupils))),
    )


def _roll(left: Floats, right: Floats, mouth: Floats) -> float:
    """Radians, from the line through the eyes and that from there down to the mouth, each weighted by its length."""
    across, down = right - left, mouth - (left + right) / 2
    return float(np.arctan2(across[1] - down[0], across[0] + down[1]))


def _rotation(angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _deep_rotation(angle: float) -> NDArray[np.float64]:
    turn = np.eye(3)
    turn[:2, :2] = _rotation(angle)
    return turn


def _point(xy: NDArray[np.floating[Any]]) -> Point:
    return float(xy[0]), float(xy[1])


def _stretch(luma: Gray) -> Gray:
    """Limited range 16 to 235 spread over 0 to 255."""
    return np.asarray(cv2.LUT(luma, _FULL_RANGE), np.uint8)


_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
