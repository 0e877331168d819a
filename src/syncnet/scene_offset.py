"""The offset of a scene with several faces, of which at most a few move to the sound (pure numpy)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves, medians

Floats = NDArray[np.float64]

SMOOTH = 50
"""Windows (2 s) whose curves are averaged before faces are compared."""

_APART_S = 0.12  # two minima nearer than this are one
_RIVAL = 0.6  # an offset nearer to zero is taken when it explains this share of what the best one does
_LEAST_Z = 4.0  # the best offset must stand out by so many times the spread over all offsets


@dataclass(frozen=True)
class SceneOffset:
    """The offset that some face fits at most moments. `found` is False when none does: then `offset_s` is 0."""

    offset_s: float
    found: bool
    standout: float


def scene_offset(tracks: list[Curves], shots: list[int], unit: float) -> SceneOffset:
    """Find the offset at which, moment by moment, the best-fitting face fits best.

    tracks: curves of each face track, all over the same offsets; shots: the shot each is in; unit: spread of a
    distance (`active_speaker.scale`). Of two offsets that fit about as well, as when somebody is shown twice or echoed
    by other lips, the one nearer to zero is taken: sound and picture are mostly meant to be together.
    """
    if not tracks:
        return SceneOffset(0.0, False, 0.0)
    offsets = tracks[0].offsets_s
    total, count = np.zeros(len(offsets)), np.zeros(len(offsets))
    for shot in sorted(set(shots)):
        best = _best_face([c for c, s in zip(tracks, shots, strict=True) if s == shot], unit)
        known = np.isfinite(best)
        total += np.where(known, best, 0.0).sum(axis=0)
        count += known.sum(axis=0)
    enough = count >= 0.5 * max(count.max(), 1)
    fit = np.where(enough, total / np.maximum(count, 1), -np.inf)
    return _choose(fit, offsets)


def face_offset(curves: Curves, film_s: float, unit: float, *, reach_s: float, telling: float) -> float:
    """The offset of one face in seconds, at most `reach_s` from the film's (`film_s`): where it fits best when it fits.

    Faces of one film are not all equally late: pictures are cut together from several recordings, of which each has
    its own offset. Only moments count at which the face, over 2 s, is nearer to the sound than usual by `telling` units
    (as in `scene_offset`); where there is none the film's offset holds.
    """
    near = np.abs(curves.offsets_s - film_s) <= reach_s + 1e-9
    if not near.any() or not len(curves.times):
        return film_s
    fit = np.nan_to_num(fits(curves, unit)[::5, near], nan=-np.inf)
    above = np.maximum(fit - telling, 0.0).sum(axis=0)
    return float(curves.offsets_s[near][np.argmax(above)]) if above.max() > 0.0 else film_s


def _choose(fit: Floats, offsets: Floats) -> SceneOffset:
    known = np.isfinite(fit)
    if not known.any():
        return SceneOffset(0.0, False, 0.0)
    level = float(np.median(fit[known]))
    spread = 1.4826 * float(np.median(np.abs(fit[known] - level))) + 1e-9
    above = fit - level
    top = int(np.argmax(fit))
    high = np.flatnonzero(known & (above >= _RIVAL * above[top])).tolist()
    peaks = [int(k) for k in high if _is_peak(fit, offsets, k)]
    nearest = min([*peaks, top], key=lambda k: abs(float(offsets[k])))
    standout = float(above[nearest] / spread)
    if standout < _LEAST_Z:
        return SceneOffset(0.0, False, standout)
    return SceneOffset(_vertex(fit, offsets, nearest), True, standout)


def _is_peak(fit: Floats, offsets: Floats, at: int) -> bool:
    """Whether nothing nearby is higher."""
    near = np.abs(offsets - offsets[at]) < _APART_S
    return bool(fit[at] >= fit[near].max())


def _vertex(fit: Floats, offsets: Floats, at: int) -> float:
    """Top of the parabola through a sample and its neighbours."""
    if at in (0, len(fit) - 1) or not np.isfinite(fit[at - 1 : at + 2]).all():
        return float(offsets[at])
    left, middle, right = fit[at - 1 : at + 2]
    bend = left + right - 2 * middle
    return float(offsets[at] + ((left - right) / (2 * bend) if bend < 0 else 0.0) * (offsets[1] - offsets[0]))


def _best_face(parts: list[Curves], unit: float) -> Floats:
    """For each moment of a shot and each offset how well the best face fits, `(T, M)`, in units; NaN where unknown."""
    first = min(float(c.times[0]) for c in parts if len(c.times)) if any(len(c.times) for c in parts) else 0.0
    frames = [np.round((c.times - first) * 25.0).astype(int) for c in parts]
    length = max((int(f[-1]) + 1 for f in frames if len(f)), default=0)
    best = np.full((length, len(parts[0].offsets_s)), np.nan)
    for curves, at in zip(parts, frames, strict=True):
        if len(at):
            best[at] = np.fmax(best[at], fits(curves, unit))
    return best[::5]  # neighbours say the same


def fits(curves: Curves, unit: float, smooth: int = SMOOTH) -> Floats:
    """Depth below its median of each window's curve averaged over `smooth` windows around it, `(W, M)`, in units."""
    windows = len(curves.times)
    away = (medians(curves.distance)[:, None] - curves.distance) / unit
    known = np.isfinite(away)
    sums = np.concatenate([np.zeros((1, away.shape[1])), np.cumsum(np.where(known, away, 0.0), axis=0)])
    counts = np.concatenate([np.zeros((1, away.shape[1]), int), np.cumsum(known, axis=0)])
    low = np.maximum(np.arange(windows) - smooth // 2, 0)
    high = np.minimum(np.arange(windows) + smooth // 2 + 1, windows)
    number = counts[high] - counts[low]
    enough = 2 * number >= (high - low)[:, None]
    return np.where(enough, (sums[high] - sums[low]) / np.maximum(number, 1), np.nan)
