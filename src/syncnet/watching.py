"""A file on its way through: frames counted as they pass, and whoever waits told how far the work has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.media import FPS, Frame

Progress = Callable[[float, float | None], None]
"""Called with seconds of the file done and seconds in all (None when the file does not say)."""

_SOUND_SHARE = 0.06  # of the work on a file that is reading its sound, which comes first


@dataclass
class Shown:
    """What has been shown so far: times (s) of the first and the last frame, and how many different pictures."""

    first: float = 0.0
    last: float = 0.0
    pictures: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of picture."""
        return self.last - self.first + 1 / FPS if self.pictures else 0.0

    @property
    def fps(self) -> float:
        """Different pictures a second, at most 25."""
        return self.pictures / self.seconds if self.pictures else 0.0


@dataclass(frozen=True)
class Told:
    """How far the work on a file has come, for whoever wants to know; `duration` in seconds, None if unknown."""

    on_progress: Progress | None
    duration: float | None

    def heard(self, seconds: float) -> None:
        """So much of the sound has been read."""
        if self.on_progress:
            done = _SOUND_SHARE * min(seconds, self.duration) if self.duration else 0.0
            self.on_progress(done, self.duration)

    def seen(self, seconds: float) -> None:
        """All of the sound and so much of the picture has been."""
        if self.on_progress:
            before = _SOUND_SHARE * self.duration if self.duration else 0.0
            self.on_progress(before + (1 - _SOUND_SHARE if before else 1.0) * seconds, self.duration)


def watched(source: Iterator[Frame], told: Told, shown: Shown) -> Iterator[Frame]:
    """Pass frames on, keep count of them in `shown`, report once a second of picture."""
    before: NDArray[np.uint8] | None = None
    for number, frame in enumerate(source):
        if before is None:
            shown.first = frame.time
        shown.last = frame.time
        shown.pictures += frame.luma is not before  # one picture shown at several times is the same array
        before = frame.luma
        if number % int(FPS) == 0:
            told.seen(frame.time - shown.first)
        yield frame
