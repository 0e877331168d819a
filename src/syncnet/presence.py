"""Whether there is anything to measure: sound that could be speech, a mouth that moves, a fit better than chance.

Each function looks for the certain absence of one of them. What is merely doubtful is measured, and marked untrusted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from syncnet.media import FPS
from syncnet.offset import ClipOffset, TrustLimits, agreement
from syncnet.voice import DB, QUIET

STEADY_DB = 4.0
"""Rise of the sound under which it is steady: noise or hum. Set on clips of the `train` split and on made noise:
`benchmarks/presence.py` prints both."""

STILL = 0.006
"""Movement of the lips under which a mouth is still. Set on clips of the `train` split and on pictures held still:
`benchmarks/presence.py` prints both."""

_STRETCH = 25  # frames over which a movement is sought: a word takes less than a second
_STEADY = 3  # frames averaged before comparing, against the jitter of the landmarks
_COLUMNS = 9  # columns of sound averaged before comparing: about the length of a short syllable
_LATER = 25  # windows, a second: so far apart they share neither picture nor sound
_FLOOR = 0.1  # quantile of the level that stands for the pauses


def sound_rise(log_energy: NDArray[np.float32]) -> float:
    """By how many decibels the loudest moment of a sound rises over its soft ones; speech does by 8 and more.

    log_energy: `(N,)`, the first MFCC coefficient (natural log of the energy of 25 ms, 16-bit scale) at 100 Hz. Silence
    (under about -70 dB full scale) is left out, so that noise which sets in or stops does not count as a rise; 0 where
    there is nothing else.
    """
    heard = log_energy[log_energy > QUIET].astype(np.float64)
    if len(heard) < _COLUMNS:
        return 0.0
    level = np.convolve(heard, np.full(_COLUMNS, 1 / _COLUMNS), "valid")
    return float(DB * (level.max() - np.quantile(level, _FLOOR)))


def lip_movement(mouth_open: NDArray[np.float32], seen: NDArray[np.bool_]) -> float:
    """How much the gap between the lips changes within a second where it changes most, in units of face size.

    mouth_open: `(T,)` float32 at 25 frames a second; seen: `(T,)` bool, False where the face was bridged. Returns the
    largest standard deviation over a second (over all where there is less) of the steadied gap: about 0 for a picture
    that is held, 0.03 or more for speech; 0 where fewer than three frames in a row are seen.
    """
    width = _STEADY - 1
    if len(mouth_open) <= width:
        return 0.0
    gap = np.convolve(mouth_open.astype(np.float64), np.full(_STEADY, 1 / _STEADY), "valid")
    known = np.convolve(seen.astype(np.float64), np.ones(_STEADY), "valid") > width
    stretches = [slice(k, k + _STRETCH) for k in range(0, max(1, len(gap) - _STRETCH + 1), 5)]
    return max(float(gap[s][known[s]].std()) if known[s].sum() > width else 0.0 for s in stretches)


def is_chance(clip: ClipOffset, limits: TrustLimits) -> bool:
    """Whether an answer says no more than a guess: there is no sign at all that picture and sound have to do.

    No more of the windows agree with it than by chance, its interval covers more than half of the offsets searched, and
    windows a second apart agree with each other no better than by chance either (they do where the offset drifts or
    steps, and so is many things but not a guess). Clips too short for an interval are not judged.
    """
    if clip.interval_ms is None:
        return False
    low, high = clip.interval_ms
    span_ms = float(clip.offsets_s[-1] - clip.offsets_s[0]) * 1000.0
    share, by_chance = agreement(clip, limits)
    return share < by_chance and high - low > span_ms / 2 and not _later_ones_agree(clip, limits, span_ms)


def _later_ones_agree(clip: ClipOffset, limits: TrustLimits, span_ms: float) -> bool:
    """Whether windows agree with those a second later, by as many standard errors as are asked for."""
    times, offsets = clip.windows.times, clip.windows.offset_ms
    apart = times[_LATER:] - times[:-_LATER]
    difference = np.abs(offsets[_LATER:] - offsets[:-_LATER])[np.abs(apart - _LATER / FPS) < 0.5 / FPS]
    difference = difference[np.isfinite(difference)]
    if len(difference) == 0:
        return False
    near = min(limits.agree_ms / span_ms, 1.0)
    chance = near * (2.0 - near)  # of two points drawn evenly from the span
    spread = np.sqrt(chance * (1.0 - chance) * limits.windows_per_draw / len(difference))
    return bool(np.mean(difference <= limits.agree_ms) >= chance + limits.agree_sigmas * spread)
