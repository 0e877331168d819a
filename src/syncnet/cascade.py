"""The face finder proper: three small networks, each stricter than the one before, over a pyramid of the picture.

K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", 2016. Boxes are `(N, 5)` arrays: x0, y0, x1, y1 in pixels and the score, 0 to 1.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.shrink import shrink

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]

LONGEST_SIDE = 1280  # pixels; bigger pictures are searched at this size
PYRAMID = 0.709  # from one size to the next: half the area
THRESHOLDS = (0.5, 0.3, 0.3)  # of the three networks; low, because the landmark network is asked to confirm
_CELL = 12  # pixels seen by the first network, which steps by two
_MOST = 200  # candidates handed on per size of the pyramid, and to each later network


class Cascade:
    """Candidate faces anywhere in a picture, with five points each."""

    def __init__(self, min_face: int, threads: int = 1) -> None:
        """`min_face`: width in pixels of the smallest face looked for; `threads`: for each network."""
        self._min_face = min_face
        self._proposals, self._refining, self._output = (
            network(f"mtcnn_{name}", threads) for name in ("pnet", "rnet", "onet")
        )

    def __call__(self, gray: Gray) -> tuple[Floats, Floats]:
        """Boxes `(N, 5)`, surest first, and points `(N, 5, 2)`: eyes, nose, corners of the mouth, left before right.

        `gray`: `(H, W)` uint8, 0 to 255, of any size.
        """
        boxes = self._propose(gray)
        if len(boxes):
            boxes = self._refine(gray, _square(boxes))
        if not len(boxes):
            return np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
        boxes = _square(boxes)
        answers: list[Floats] = self._output.run(["score", "box", "points"], {"picture": cut(gray, boxes, 48)})
        score, shift, points = answers
        corner, extent = boxes[:, None, :2], (boxes[:, 2:4] - boxes[:, :2])[:, None]
        places = points.reshape(-1, 2, 5).transpose(0, 2, 1) * extent + corner
        found = _moved(boxes, shift, score)
        sure = np.flatnonzero(score[:, 0] > THRESHOLDS[2])
        kept = sure[suppress(found[sure], 0.6, of_smaller=True)]
        return found[kept], np.asarray(places[kept], np.float32)

    def _propose(self, gray: Gray) -> Floats:
        height, width = gray.shape
        scale = _CELL / (self._min_face * max(1.0, max(height, width) / LONGEST_SIDE))
        proposals = [np.zeros((0, 5), np.float32)]
        while min(height, width) * scale >= _CELL:
            columns, rows = round(width * scale), round(height * scale)
            small = shrink(gray, columns, rows)
            score, shift = self._proposals.run(["score", "box"], {"picture": small[None, None]})
            y, x = np.nonzero(score[0, 0] > THRESHOLDS[0])
            if len(y):
                step = np.array([width / columns, height / rows])  # pixels of the picture per pixel of `small`
                corner = 2 * np.stack([x, y], axis=1) * step
                boxes = np.hstack([corner, corner + _CELL * step, score[0, 0, y, x][:, None]])
                kept = suppress(boxes, 0.5)[:_MOST]
                proposals.append(_moved(boxes, shift[0][:, y, x].T, boxes[:, 4:])[kept])
            scale *= PYRAMID
        boxes = np.concatenate(proposals)
        return boxes[suppress(boxes, 0.7)[:_MOST]]

    def _refine(self, gray: Gray, boxes: Floats) -> Floats:
        score, shift = self._refining.run(["score", "box"], {"picture": cut(gray, boxes, 24)})
        boxes = _moved(boxes, shift, score)[score[:, 0] > THRESHOLDS[1]]
        return boxes[suppress(boxes, 0.7)]


@cache
def network(name: str, threads: int) -> InferenceSession:
    """One of the face networks of weights/faces, ready to run on `threads` threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    raw = (resources.files("syncnet") / "weights" / "faces" / f"{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])


def suppress(boxes: Reals, limit: float, of_smaller: bool = False) -> NDArray[np.intp]:
    """Indices of the boxes `(N, 5)` that stay, surest first.

    A box goes when it overlaps a surer one by more than `limit`: as intersection over union, or over the smaller box.
    """
    order = np.argsort(-boxes[:, 4], kind="stable")
    kept: list[int] = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(int(first))
        order = order[overlaps(boxes[first], boxes[order], of_smaller) <= limit]
    return np.array(kept, np.intp)


def overlaps(one: Reals, others: Reals, of_smaller: bool = False) -> Reals:
    """Area shared by a box `(4,)` with each of others `(N, 4)` over their joint (or the smaller one's) area, 0 to 1."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:4], others[:, 2:4])
    shared: Reals = np.prod(np.maximum(high - low, 0), axis=1)
    area, areas = np.prod(one[2:4] - one[:2]), np.prod(others[:, 2:4] - others[:, :2], axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    share: Reals = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return share


def cut(gray: Gray, boxes: Floats, side: int) -> Gray:
    """The boxes of a picture, scaled to `(N, 1, side, side)`; black outside the picture."""
    height, width = gray.shape
    cuts = np.zeros((len(boxes), 1, side, side), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(np.rint(boxes[:, :4]).astype(int).tolist()):
        inner = gray[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if inner.size:
            outside = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
            whole = cv2.copyMakeBorder(inner, *outside, cv2.BORDER_CONSTANT, value=0) if any(outside) else inner
            method = cv2.INTER_AREA if whole.shape[0] > side else cv2.INTER_LINEAR
            cuts[number, 0] = cv2.resize(whole, (side, side), interpolation=method)
    return cuts


def _moved(boxes: Reals, shift: Reals, score: Reals) -> Floats:
    """Boxes with corners moved by `shift`, which counts in their widths and heights, and a new score `(N, 1)`."""
    extent = boxes[:, 2:4] - boxes[:, :2]
    return np.hstack([boxes[:, :4] + shift * np.hstack([extent, extent]), score]).astype(np.float32)


def _square(boxes: Floats) -> Floats:
    """Boxes made square about their middles, by their longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([middle - half, middle + half, boxes[:, 4:]])
