"""Whether a repaired file's sound lies where it was meant to, found by correlation with the original's sound."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.media import SAMPLE_RATE, probe, read_sound
from syncnet.timeline import Timeline

STRETCH_S = 2.0
REACH_S = 0.2
PLACES = 6
ALIKE = 0.5
"""Correlation below which two stretches do not tell how far they are apart (silence, or a cross-fade between them)."""


def misplaced_ms(original: Path, repaired: Path, track: int, timeline: Timeline) -> list[float]:
    """Milliseconds by which the repaired sound is late of where the timeline wants it, at up to six places.

    The sound seen at t lay at t + offset in the original and must now lie where the picture of t does. No network
    takes part. Places that are silent, or stretched by more than 1 %, are left out; the list may be empty.
    """
    found: list[float] = []
    pictures_moved = _picture_start(repaired) - _picture_start(original)
    for segment in timeline.segments[:: max(1, len(timeline.segments) // PLACES)]:
        room = segment.end_s - segment.start_s
        if room <= 0 or abs(segment.end_ms - segment.start_ms) / 1e3 > 0.01 * room:
            continue
        share = max(1, PLACES // len(timeline.segments))
        for k in range(share):
            middle = segment.start_s + room * (k + 1) / (share + 1)
            length = min(STRETCH_S, room / 2)
            shift = segment.at(middle) / 1e3
            first = middle - length / 2
            lag = _lag_ms(original, repaired, track, first + shift, first + pictures_moved, length)
            if lag is not None:
                found.append(lag)
    return found


def _picture_start(path: Path) -> float:
    video = probe(path).video
    return video[0].start if video else 0.0


def _lag_ms(original: Path, repaired: Path, track: int, was: float, due: float, length: float) -> float | None:
    """How much later than `due` the repaired file has the sound that was at `was`; None when that cannot be told."""
    before = _stretch(original, track, was, length)
    after = _stretch(repaired, track, due - REACH_S, length + 2 * REACH_S)
    energy = np.convolve(after**2, np.ones(len(before)), "valid")
    likeness = np.correlate(after, before, "valid") / np.sqrt(np.maximum(energy * np.sum(before**2), 1e-12))
    best = float(likeness.max())
    if np.sqrt(np.mean(before**2)) < 1e-4 or best < ALIKE:
        return None
    middle = len(likeness) // 2
    near = np.flatnonzero(likeness > best - 0.01) - middle  # a steady tone fits at many places: take the nearest
    return float(near[np.abs(near).argmin()] / SAMPLE_RATE * 1e3)


def _stretch(path: Path, track: int, start: float, length: float) -> NDArray[np.float32]:
    """Exactly `length` seconds of sound from `start` on, silence where there is none."""
    sound = read_sound(path, track=track, start=max(0.0, start), end=max(0.0, start + length))
    out = np.zeros(round(length * SAMPLE_RATE), np.float32)
    first = round((sound.start - start) * SAMPLE_RATE) if len(sound.samples) else 0
    part = sound.samples[max(0, -first) : len(out) - first]
    out[max(0, first) : max(0, first) + len(part)] = part
    return out
