"""Where somebody speaks at all: voice activity from the log energy of the sound (pure numpy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLUMN_RATE = 100
"""Columns of MFCC a second."""

DB = 10 / np.log(10)  # decibels in one unit of a natural logarithm of power
QUIET = 10.0  # log energy (16-bit scale, 25 ms) of about -70 dB full scale: under it nothing is heard
_BLOCK_S = 5.0  # levels are measured in blocks this long ...
_NEAR = 3  # ... and a block is judged by itself and this many on either side
_FLOOR, _PEAK = 0.1, 0.95  # quantiles of the level that stand for the pauses and for the voice
_SHARE = 0.4  # of the way from floor to peak in decibels from which there is voice
_LEAST_DB = 5.0  # speech rises and falls by more than this, over noise too; a steady hum does not
_DEEPEST_DB = 35.0  # softer than the loudest voice near it by more than this is no voice of the scene
_SMOOTH = 9  # columns averaged before comparing
_BRIDGE_S = 0.25  # shorter pauses are part of the speech: closures of stops, a breath
_SHORTEST_S = 0.1  # shorter bursts are clicks


def voice_activity(log_energy: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell the columns of sound in which somebody speaks from those of silence and steady noise.

    log_energy: `(N,)`, the first MFCC coefficient (natural log of the energy of 25 ms, 16-bit scale) at 100 Hz.
    Returns `(N,)` bool. It compares every moment with the softest and loudest moments of the half minute around it: it
    hears any sound that comes and goes as speech does, music too.
    """
    if len(log_energy) == 0:
        return np.zeros(0, bool)
    level = np.maximum(log_energy.astype(np.float64), QUIET)
    level = _moving_mean(level, _SMOOTH)
    floor, peak = _floor_and_peak(level)
    threshold = np.maximum(floor + _SHARE * (peak - floor), peak - _DEEPEST_DB / DB)
    heard = (level > threshold) & (peak - floor > _LEAST_DB / DB)
    heard = bridged(heard, round(_BRIDGE_S * COLUMN_RATE))
    return ~bridged(~heard, round(_SHORTEST_S * COLUMN_RATE))


def bridged(active: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """Fill the gaps of at most `longest` entries between two active ones; `(N,)` bool."""
    filled = active.copy()
    for first, last in runs(~active):
        if first > 0 and last < len(active) and last - first <= longest:
            filled[first:last] = True
    return filled


def runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one-past-last index of every run of true entries."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _moving_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    total = np.concatenate([[0.0], padded.cumsum()])
    return np.asarray((total[width:] - total[:-width]) / width)


def _floor_and_peak(level: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Soft and loud level around each column, `(N,)` each, from blocks of some seconds."""
    size = round(_BLOCK_S * COLUMN_RATE)
    count = -(-len(level) // size)
    low, high = np.empty(count), np.empty(count)
    for block in range(count):
        near = level[max(0, block - _NEAR) * size : (block + _NEAR + 1) * size]
        low[block], high[block] = np.quantile(near, [_FLOOR, _PEAK])
    of_column = np.arange(len(level)) // size
    return low[of_column], high[of_column]
