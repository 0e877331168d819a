"""Where the camera cuts: a streaming detector on a thumbnail of every frame."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from syncnet.shrink import shrink

THUMBNAIL = (48, 27)
"""Width and height to which a frame is averaged before it is compared with the one before."""

THRESHOLD = 0.45
"""Jump of the change between frames, in units of picture contrast, from which a cut is called."""

_MEMORY = 5  # frames of past change that a cut must stand out against: a pan or a shaky hand raises the bar
_FLOOR = 8.0  # grey levels of contrast assumed even in a flat picture, so that noise in the dark is no cut


class ShotDetector:
    """Say for each frame of a film, in order, whether it begins a new shot.

    A cut is a change from the frame before (mean absolute difference of thumbnails, divided by their contrast) that
    stands out by `THRESHOLD` against the largest change among the frames just before, as FFmpeg's scene-change score
    does with one frame of memory. Fades and dissolves are not cuts. Calling it with a frame `(H, W)` uint8 returns
    True where a new shot starts; the first frame always does.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._last: NDArray[np.float32] | None = None
        self._recent: deque[float] = deque(maxlen=_MEMORY)

    def __call__(self, luma: NDArray[np.uint8]) -> bool:
        small = shrink(luma, *THUMBNAIL).astype(np.float32)
        last, self._last = self._last, small
        if last is None:
            return True
        change = _change(last, small)
        usual = max(self._recent, default=0.0)
        if change - usual > self._threshold:
            self._recent.clear()
            return True
        self._recent.append(change)
        return False


def _change(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Mean absolute difference of two thumbnails in units of their mean contrast: 0 the same, about 1 unrelated."""
    contrast = 0.5 * (float(a.std()) + float(b.std())) + _FLOOR
    return float(np.abs(a - b).mean()) / contrast
