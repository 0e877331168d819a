"""Where faces and mouths are in a grey picture: found with a strong cascade, followed with a cheap landmark network.

Finder: the cascade of K. Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", 2016. Follower: Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs",
2019 (468 points in three dimensions). Networks and licences: weights/faces.

Pictures are luma planes, `(H, W)` uint8, limited range (16 to 235). Positions are in pixels, x to the right, y down, the
middle of the first pixel at (0, 0). Left and right are as one looks at the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_FACE = 40  # pixels; width of the smallest face looked for
LONGEST_SIDE = 1280  # bigger pictures are searched at this size
PRESENT = 0.5  # landmark score under which there is no face

_PYRAMID = 0.709  # from one size to the next: half the area
_CELL = 12  # pixels seen by the first network, which steps by two
_THRESHOLDS = (0.6, 0.7, 0.8)  # of the three networks of the cascade
_MOST = 200  # candidates handed on per size of the pyramid and to each later network
_ROOM = 1.5  # the landmark network's square over the longer side of the face
_MESH = 192  # pixels, side of that square
# Points of the mesh: https://github.com/google-ai-edge/mediapipe, canonical_face_model
_LEFT_EYE, _RIGHT_EYE = (33, 133), (263, 362)  # outer, inner corner
_MOUTH = (61, 291)  # corners
_INNER_LIPS = (13, 14)  # upper, lower
_NOSE_TIP, _BRIDGE, _NOSE_BASE = 1, 168, 2
_CHEEKS = (234, 454)
_EYES_PER_NOSE = 1.75  # outer eye corner distance over bridge to base of the nose, median over frontal faces
_EYES_PER_PUPILS = 1.45  # the same over the distance between the eyes' middles


@dataclass(frozen=True)
class Face:
    """A face in one picture.

    `box`: x0, y0, x1, y1, forehead to chin, upright whatever the roll. `score`: 0 to 1. `mouth`: midway between the mouth's
    corners. `eyes`: middles of the left and the right eye. `nose`: its tip. `size`: distance of the outer eye corners in
    pixels, as if the face were turned to the camera; turning the head and opening the jaw leave it. `roll`: radians,
    positive when the right eye is the lower one. `yaw`: degrees, roughly; positive when the face looks to the right of the
    picture. `mouth_open`: gap between the inner lips over `size`; 0 where it was not measured.
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
        """`min_face`: pixels, at least 20. `threads`: for each network; one is fastest for networks as small as these."""
        if min_face < 20:
            raise ValueError(f"min_face must be at least 20 pixels, not {min_face}")
        self._min_face = min_face
        self._nets = [_session(f"mtcnn_{net}", threads) for net in ("pnet", "rnet", "onet")]
        self._follower = FaceFollower(threads)

    def __call__(self, luma: Gray) -> list[Face]:
        """Faces by the cascade alone, surest first; size, roll and yaw from five points, without depth."""
        gray = _stretch(luma)
        boxes = self._propose(gray)
        for net, side, threshold in ((self._nets[1], 24, _THRESHOLDS[1]), (self._nets[2], 48, _THRESHOLDS[2])):
            if not len(boxes):
                return []
            boxes = _square(boxes)
            answers = net.run(None, {"picture": _cut(gray, boxes, side)})
            score, shift = answers[0][:, 0], answers[1]
            sure = score > threshold
            before, boxes = boxes[sure], _with_score(_regress(boxes[sure], shift[sure]), score[sure])
            if side == 24:
                boxes = boxes[suppress(boxes, 0.7)]
                continue
            points = answers[2][sure].reshape(-1, 2, 5)
            corner, extent = before[:, None, :2], (before[:, 2:4] - before[:, :2])[:, None]
            points = points.transpose(0, 2, 1) * extent + corner
            kept = suppress(boxes, 0.6, of_smaller=True)
            return [_face_from_points(boxes[k], points[k]) for k in kept]
        return []

    def locate(self, luma: Gray) -> list[Face]:
        """Faces measured as `FaceFollower` does, surest first; what the landmark network does not take for a face is left out."""
        found: list[Face] = []
        for rough in self(luma):
            face = self._follower(luma, rough)
            face = self._follower(luma, face) if face else None  # once more, from its own better place
            if face and all(overlap(face.box, other.box) < 0.5 for other in found):
                found.append(face)
        return found

    def _propose(self, gray: Gray) -> Floats:
        """Candidates of the first network: (N, 5) x0, y0, x1, y1, score."""
        height, width = gray.shape
        shrink = max(1.0, max(height, width) / LONGEST_SIDE)
        scale = _CELL / (self._min_face * shrink)
        proposals: list[Floats] = [np.zeros((0, 5), np.float32)]
        while min(height, width) * scale >= _CELL:
            columns, rows = round(width * scale), round(height * scale)
            small = cv2.resize(gray, (columns, rows), interpolation=cv2.INTER_AREA)
            score, shift = self._nets[0].run(None, {"picture": small[None, None]})
            y, x = np.nonzero(score[0, 0] > _THRESHOLDS[0])
            if len(y):
                sx, sy = width / columns, height / rows
                corner = np.stack([2 * x * sx, 2 * y * sy], 1)
                boxes = np.hstack([corner, corner + [_CELL * sx, _CELL * sy], score[0, 0, y, x][:, None]])
                kept = suppress(boxes, 0.5)[:_MOST]
                boxes[:, :4] = _regress(boxes, shift[0][:, y, x].T)
                proposals.append(boxes[kept].astype(np.float32))
            scale *= _PYRAMID
        boxes = np.concatenate(proposals)
        return boxes[suppress(boxes, 0.7)[:_MOST]]


class FaceFollower:
    """Measures a face whose place is known from the picture before."""

    def __init__(self, threads: int = 1) -> None:
        self._net = _session("face_landmark", threads)

    def __call__(self, luma: Gray, face: Face) -> Face | None:
        """The same face in this picture, or None where it is lost."""
        mesh, score = self.mesh(luma, face)
        if score < PRESENT:
            return None
        return face_from_mesh(mesh, score)

    def mesh(self, luma: Gray, face: Face) -> tuple[Floats, float]:
        """The 468 points `(468, 3)` in pixels of the picture (z away from the camera, same scale) and the score 0 to 1."""
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
        box=(float(centre[0] - half[0]), float(centre[1] - half[1]), float(centre[0] + half[0]), float(centre[1] + half[1])),
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
    """Distance of the outer eye corners in space, or what the length of the nose stands for where that is more."""
    eyes = np.linalg.norm(mesh[_RIGHT_EYE[0]] - mesh[_LEFT_EYE[0]])
    nose = np.linalg.norm(mesh[_NOSE_BASE] - mesh[_BRIDGE])
    return float(max(eyes, nose * _EYES_PER_NOSE))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    return float(_overlaps(np.array([*a, 0.0]), np.array([[*b, 0.0]]), False)[0])


def suppress(boxes: NDArray[np.floating[Any]], limit: float, of_smaller: bool = False) -> NDArray[np.intp]:
    """Indices of the boxes `(N, 5)` (x0, y0, x1, y1, score) that stay, surest first.

    A box goes when it overlaps a surer one by more than `limit`: as intersection over union, or over the smaller box.
    """
    order = np.argsort(-boxes[:, 4], kind="stable")
    kept: list[int] = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(int(first))
        order = order[_overlaps(boxes[first], boxes[order], of_smaller) <= limit]
    return np.array(kept, np.intp)


def _overlaps(one: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]],
              of_smaller: bool) -> NDArray[np.floating[Any]]:
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:4], others[:, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    area, areas = np.prod(one[2:4] - one[:2]), np.prod(others[:, 2:4] - others[:, :2], axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _regress(boxes: NDArray[np.floating[Any]], shift: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Corners moved by `shift`, which counts in widths and heights of the box."""
    extent = boxes[:, 2:4] - boxes[:, :2]
    return boxes[:, :4] + shift * np.hstack([extent, extent])


def _with_score(corners: NDArray[np.floating[Any]], score: Floats) -> Floats:
    return np.hstack([corners, score[:, None]]).astype(np.float32)


def _square(boxes: Floats) -> Floats:
    """Boxes made square about their middles, by their longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([middle - half, middle + half, boxes[:, 4:]])


def _cut(gray: Gray, boxes: Floats, side: int) -> Gray:
    """The squares scaled to `(N, 1, side, side)`; black outside the picture."""
    height, width = gray.shape
    cuts = np.zeros((len(boxes), 1, side, side), np.uint8)
    for cut, (x0, y0, x1, y1) in zip(cuts, np.rint(boxes[:, :4]).astype(int), strict=True):
        inner = gray[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if inner.size:
            outside = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
            whole = cv2.copyMakeBorder(inner, *outside, cv2.BORDER_CONSTANT, value=0) if any(outside) else inner
            shrinks = whole.shape[0] > side
            cv2.resize(whole, (side, side), dst=cut[0], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cuts


def _rotated_square(luma: Gray, centre: NDArray[np.float64], side: float, roll: float) -> Gray:
    """The square about `centre`, turned by `roll`, as `(192, 192)`; black outside the picture."""
    scale = side / _MESH  # pixels of the picture per pixel of the square
    reach = side * 0.75  # its half diagonal, and a little
    (height, width), (x, y) = luma.shape, centre
    x0, x1 = (int(np.clip(v, 0, width)) for v in (x - reach, x + reach))
    y0, y1 = (int(np.clip(v, 0, height)) for v in (y - reach, y + reach))
    if x1 <= x0 or y1 <= y0:
        return np.zeros((_MESH, _MESH), np.uint8)
    near = luma[y0:y1, x0:x1]
    shrink = max(1, round(scale))
    if shrink > 1:  # average first: plain bilinear sampling would alias
        columns, rows = max(1, (x1 - x0) // shrink), max(1, (y1 - y0) // shrink)
        near = cv2.resize(near, (columns, rows), interpolation=cv2.INTER_AREA)
    fx, fy = near.shape[1] / (x1 - x0), near.shape[0] / (y1 - y0)
    turn = _rotation(roll) * scale
    start = centre - turn @ np.full(2, _MESH / 2 - 0.5)  # of the square's first pixel, in the picture
    to_near = np.array([[turn[0, 0] * fx, turn[0, 1] * fx, (start[0] - x0 + 0.5) * fx - 0.5],
                        [turn[1, 0] * fy, turn[1, 1] * fy, (start[1] - y0 + 0.5) * fy - 0.5]])
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
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    return Face(
        box=(x0, y0, x1, y1),
        score=float(box[4]),
        mouth=_point(mouth),
        eyes=(_point(left), _point(right)),
        nose=_point(nose),
        size=_EYES_PER_PUPILS * max(wide, 0.9 * high),
        roll=roll,
        yaw=float(np.degrees(np.arctan2(2 * level[2, 0], max(wide, 0.9 * high)))),
    )


def _roll(left: Floats, right: Floats, mouth: Floats) -> float:
    """Radians, from the line through the eyes and the line from the eyes down to the mouth, each weighted by its length."""
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


@cache
def _session(name: str, threads: int) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    raw = (resources.files("syncnet") / "weights" / "faces" / f"{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
