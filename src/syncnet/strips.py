"""Strips of mouth crops, one for each face track, to be shown beside the sound that was heard with them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.media import FPS
from syncnet.tracks import MouthTrack

FRAMES = 40
"""Crops in a strip: 1.6 s."""
SIDE = 56
"""Pixels on a side of a crop as shown."""
MOST = 24
"""Tracks that get a strip at most, the longest ones."""


@dataclass(frozen=True)
class Strip:
    """Mouth crops `(T, SIDE, SIDE)` uint8 of one track from `start` (s) on, 25 a second; `seconds` the track lasts."""

    track: int
    start: float
    crops: NDArray[np.uint8]
    movement: float
    seconds: float

    @property
    def end(self) -> float:
        """Seconds of presentation time just after the last crop."""
        return self.start + len(self.crops) / FPS


class Strips:
    """Collects for each track the crops where its mouth moves most; memory does not grow with the film."""

    def __init__(self) -> None:
        self._best: dict[int, Strip] = {}

    def watch(self, track: MouthTrack) -> None:
        """Look at a stretch of a track; what `analyse(on_track=...)` is to be given."""
        strip = liveliest(track)
        before = self._best.get(track.id)
        seconds = strip.seconds + (before.seconds if before else 0.0)
        livelier = strip if before is None or strip.movement > before.movement else before
        self._best[track.id] = Strip(livelier.track, livelier.start, livelier.crops, livelier.movement, seconds)
        if len(self._best) > 2 * MOST:
            self._best = {strip.track: strip for strip in self.chosen()}

    def chosen(self) -> list[Strip]:
        """The strips of the longest tracks, in order of time."""
        longest = sorted(self._best.values(), key=lambda s: -s.seconds)[:MOST]
        return sorted(longest, key=lambda s: (s.start, s.track))


def liveliest(track: MouthTrack) -> Strip:
    """The FRAMES crops of a stretch between which the picture of the mouth changes most."""
    small = track.crops[:, ::8, ::8].astype(np.float32)
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    count = min(FRAMES, len(track.crops))
    total = np.concatenate([[0.0], np.cumsum(change)])
    sums = total[count - 1 :] - total[: len(total) - count + 1]
    first = int(sums.argmax())
    crops = np.stack([_shrunk(crop) for crop in track.crops[first : first + count]])
    return Strip(track.id, track.start + first / FPS, crops, float(sums[first]), len(track.crops) / FPS)


def _shrunk(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
