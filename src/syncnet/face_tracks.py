"""Face tracks and face crops as the released pipeline makes them, from boxes that any face finder may have found.

After `run_pipeline.py` of the v2 release (J. S. Chung, 2020): greedy tracking by overlap within a shot, straight lines
over the gaps, and a square of 2.8 half-sides around a smoothed box, scaled to 224 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.score import median_filter

Box = tuple[float, float, float, float]

SAME_FACE = 0.5  # overlap (intersection over union) above which two boxes are one face
MAX_GAP = 25  # frames without a detection after which a track ends
MIN_FACE = 100  # pixels; mean of the longer side, which must be more
CROP_SCALE = 0.40
SMOOTHING = 13  # frames of the median over centre and size
GREY = 110  # past the edge of the picture
CROP = 224  # pixels on a side


@dataclass(frozen=True)
class FaceTrack:
    """One face from frame `first` on: `boxes` (T, 4) float64, x0, y0, x1, y1 in pixels, one per frame, no gaps."""

    first: int
    boxes: NDArray[np.float64]

    @property
    def last(self) -> int:
        """The last frame."""
        return self.first + len(self.boxes) - 1


def track_shot(
    detections: Sequence[Sequence[Box]], first: int, *, min_track: int, min_face: float = MIN_FACE
) -> list[FaceTrack]:
    """Join the boxes of one shot into tracks, in the order in which the release finds them.

    detections: the boxes of each frame, of which the first is frame `first`. Shots of fewer than `min_track` frames,
    tracks of `min_track` or fewer detections, and faces of `min_face` pixels or less are left out.
    """
    if len(detections) < min_track:
        return []
    left = [list(boxes) for boxes in detections]
    tracks = []
    while (path := _take_path(left)) is not None:
        frames, boxes = np.array([k for k, _ in path]), np.array([box for _, box in path])
        if len(path) <= min_track:
            continue
        every = np.arange(frames[0], frames[-1] + 1)
        filled = np.stack([np.interp(every, frames, boxes[:, k]) for k in range(4)], axis=1)
        if max((filled[:, 2:] - filled[:, :2]).mean(axis=0)) > min_face:
            tracks.append(FaceTrack(first + int(every[0]), filled))
    return tracks


def _take_path(left: list[list[Box]]) -> list[tuple[int, Box]] | None:
    """Take one face's boxes, with their frames, out of what is left; None when nothing is left.

    The release removes boxes from the list that it walks along, so that the box behind a taken one is passed over in
    that round. That is kept.
    """
    path: list[tuple[int, Box]] = []
    for frame, boxes in enumerate(left):
        k = 0
        while k < len(boxes):
            if not path:
                path.append((frame, boxes.pop(k)))
            elif frame - path[-1][0] > MAX_GAP:
                return path
            elif overlap(boxes[k], path[-1][1]) > SAME_FACE:
                path.append((frame, boxes.pop(k)))
            k += 1
    return path or None


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def crop_squares(track: FaceTrack) -> NDArray[np.int64]:
    """Where to cut a track's faces: (T, 4) x0, y0, x1, y1, whole pixels, which may lie outside the picture.

    With s the half side and (x, y) the centre of the box, each median-filtered over 13 frames: rows y - s to y + 1.8 s,
    columns x - 1.4 s to x + 1.4 s, cut down to whole numbers as the release does, in a picture widened by int(1.8 s).
    """
    boxes = track.boxes
    half = median_filter(np.max(boxes[:, 2:] - boxes[:, :2], axis=1) / 2, SMOOTHING)
    x = median_filter((boxes[:, 0] + boxes[:, 2]) / 2, SMOOTHING)
    y = median_filter((boxes[:, 1] + boxes[:, 3]) / 2, SMOOTHING)
    margin = np.trunc(half * (1 + 2 * CROP_SCALE))
    corners = [
        x + margin - half * (1 + CROP_SCALE),
        y + margin - half,
        x + margin + half * (1 + CROP_SCALE),
        y + margin + half * (1 + 2 * CROP_SCALE),
    ]
    return np.stack([np.trunc(corner) - margin for corner in corners], axis=1).astype(np.int64)


def crop_face(picture: NDArray[np.uint8], square: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Cut (H, W, 3) uint8 to a square and scale it to (224, 224, 3), grey 110 past the edges, bilinear."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (int(v) for v in square)
    inner = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    cut = np.full((max(y1 - y0, 1), max(x1 - x0, 1), 3), GREY, np.uint8)
    if inner.size and y0 < height and x0 < width:
        top, left = max(-y0, 0), max(-x0, 0)
        cut[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return np.asarray(cv2.resize(cut, (CROP, CROP), interpolation=cv2.INTER_LINEAR), np.uint8)
