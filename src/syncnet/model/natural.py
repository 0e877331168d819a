"""The natural offset of clips: their own where they say enough, else drawn towards that of their speaker or corpus.

Sign: offset = audio time - video time. Negative: audio early. Positive: audio late.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import minima

GROUP_WINDOWS = 250  # 10 s of speech: what a speaker or corpus must have to have an offset of its own
STEADY_MS = 20.0  # halves of a group that differ by more are not steady
NEAR_MS = 120.0  # how far from its corpus's offset a speaker's may lie, and a clip's from its speaker's
ELSEWHERE_MS = 160.0  # from here on an offset is another one
RIVAL = 0.5  # share of the best score elsewhere that is taken off: separates best on clips of 1.2 s (train split)
COVER = 0.5  # share of the windows that must have sound at an offset
LEAST_SPREAD_MS = 5.0


@dataclass(frozen=True)
class Evidence:
    """Summed curves of one clip or group: depth and number of windows known at each offset (M,), and windows in all."""

    depth: NDArray[np.float64]
    known: NDArray[np.float64]
    windows: int


def add(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several together."""
    return Evidence(np.sum([p.depth for p in parts], axis=0), np.sum([p.known for p in parts], axis=0),
                    sum(p.windows for p in parts))


def scores(evidence: Evidence) -> NDArray[np.float64]:
    """Score (M,) of each offset: mean depth times the square root of the windows it rests on; NaN where too few."""
    enough = evidence.known >= max(COVER * evidence.windows, 1.0)
    return np.where(enough, evidence.depth / np.sqrt(np.maximum(evidence.known, 1.0)), np.nan)


def peak_at(evidence: Evidence, offsets_ms: NDArray[np.float64], offset_ms: float, tolerance_ms: float) -> float:
    """The best score within `tolerance_ms` of an offset; -inf where there is no sound."""
    near = scores(evidence)[np.abs(offsets_ms - offset_ms) <= tolerance_ms + 1e-6]
    return float(np.nanmax(near)) if np.isfinite(near).any() else -np.inf


def score_at(evidence: Evidence, offsets_ms: NDArray[np.float64], offset_ms: float, tolerance_ms: float) -> float:
    """How well an offset fits: its peak, less half of the best one elsewhere; -inf where there is no sound.

    What looks deep everywhere (a mouth that moves evenly, a noisy curve) says little of any one offset.
    """
    every = scores(evidence)
    away = np.abs(offsets_ms - offset_ms)
    near, far = every[away <= tolerance_ms + 1e-6], every[away >= ELSEWHERE_MS]
    if not np.isfinite(near).any():
        return -np.inf
    rival = float(np.nanmax(far)) if np.isfinite(far).any() else 0.0
    return float(np.nanmax(near)) - RIVAL * max(rival, 0.0)


def best_offset(evidence: Evidence, offsets_ms: NDArray[np.float64], around_ms: float | None = None,
                within_ms: float = NEAR_MS) -> float:
    """The offset (ms) at which the mean curve is deepest, between samples, optionally near one; NaN if at an edge."""
    enough = evidence.known >= max(COVER * evidence.windows, 1.0)
    mean = np.where(enough, -evidence.depth / np.maximum(evidence.known, 1.0), np.nan)
    if around_ms is not None:
        mean = np.where(np.abs(offsets_ms - around_ms) <= within_ms + 1e-6, mean, np.nan)
    offset, _, _, at_edge = minima(mean[None], offsets_ms / 1000.0)
    return float("nan") if at_edge[0] else float(offset[0])


def group_offset(members: Sequence[Evidence], offsets_ms: NDArray[np.float64], *, around_ms: float | None = None
                 ) -> float | None:
    """The steady offset of a group of clips, None if it is too small or its halves do not agree."""
    if len(members) < 2 or sum(m.windows for m in members) < GROUP_WINDOWS:
        return None
    whole, *halves = (best_offset(add(part), offsets_ms, around_ms) for part in (members, members[::2], members[1::2]))
    return whole if abs(halves[0] - halves[1]) <= STEADY_MS else None  # NaN compares false


def error_constant(halves: Sequence[tuple[float, float, int]]) -> float:
    """k such that a clip of n windows knows its own offset to a variance of k / n (ms^2), from halves of clips.

    halves: (offset of one half, of the other, windows of both). Robust; infinite if there are too few.
    """
    spread = [(a - b) ** 2 / 4.0 * n for a, b, n in halves if np.isfinite(a) and np.isfinite(b)]
    return float(np.median(spread)) / 0.455 if len(spread) >= 8 else float("inf")  # 0.455: median of chi^2, 1 d.f.


def group_spread(own: Sequence[float], variances: Sequence[float], centre_ms: float) -> float:
    """How far (variance, ms^2) true offsets scatter within a group beyond the error of measuring them; robust."""
    away = np.square(np.asarray(own, dtype=np.float64) - centre_ms)
    if len(away) < 5:
        return LEAST_SPREAD_MS**2
    return max(float(np.median(away)) / 0.455 - float(np.median(variances)), LEAST_SPREAD_MS**2)


def shrunk(own_ms: float, variance: float, centre_ms: float, spread: float) -> float:
    """A clip's own offset drawn towards its group's, by how well each is known."""
    if not np.isfinite(own_ms) or not np.isfinite(variance):
        return centre_ms
    trust = spread / (spread + variance)
    return centre_ms + trust * (own_ms - centre_ms)
