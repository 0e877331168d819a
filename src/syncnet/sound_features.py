"""The sound of a whole file as the network takes it, read in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError
from syncnet.media import SAMPLE_RATE, sound_chunks
from syncnet.mfcc import COLUMN_RATE, mfcc_stream

MFCC_RATE = COLUMN_RATE
"""Columns of MFCC a second."""

_LOUDNESS_SAMPLES = 1600  # of the stretches whose loudness is measured: 0.1 s


@dataclass(frozen=True)
class SoundFeatures:
    """The sound of a whole file as the network takes it: 5 kB a second, so that three hours fit in 60 MB.

    `mfcc`: `(13, N)` float32, column j covers `start + j / 100` seconds and the 25 ms after it. `loudest`: the largest
    RMS over 0.1 s, full scale 1.
    """

    start: float
    mfcc: NDArray[np.float32]
    loudest: float

    @property
    def end(self) -> float:
        """Seconds of presentation time at which the last column starts."""
        return self.start + int(self.mfcc.shape[1]) / MFCC_RATE

    def between(self, start: float, end: float) -> NDArray[np.float32]:
        """The columns `(13, n)` that begin in [start, end) seconds."""
        first, last = (max(0, int(np.ceil((t - self.start) * MFCC_RATE))) for t in (start, end))
        return self.mfcc[:, first:last]


def sound_features(
    path: str | PathLike[str],
    audio_track: int,
    problems: list[str],
    on_heard: Callable[[float], None] | None = None,
) -> SoundFeatures:
    """Read the sound of a file as MFCC, streaming; damage is added to `problems`.

    `on_heard` is told now and then how many seconds of sound have been read.
    """
    start: list[float] = []
    loudest = 0.0

    def samples() -> Iterator[NDArray[np.float32]]:
        nonlocal loudest
        for chunk in sound_chunks(path, track=audio_track, on_problem=problems.append):
            if not start:
                start.append(chunk.start)
            if len(chunk.samples):
                rows = np.array_split(chunk.samples, max(1, len(chunk.samples) // _LOUDNESS_SAMPLES))
                loudest = max(loudest, *(float(np.sqrt(np.mean(np.square(r)))) for r in rows))
            if on_heard:
                on_heard(chunk.start - start[0] + len(chunk.samples) / SAMPLE_RATE)
            yield chunk.samples

    columns = list(mfcc_stream(samples()))
    if not columns:
        raise InputError(f"{path}: its sound track holds no sound that can be decoded.")
    return SoundFeatures(start[0], np.concatenate(columns, axis=1), loudest)
