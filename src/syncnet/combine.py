"""From many windows to one answer: means of their offsets, the mean of their curves, an interval for its minimum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from syncnet.curves import ROWS, Curves, Floats, medians, minima
from syncnet.errors import InputError, NoAnswer

LEAST_COVER = 0.25  # share of the windows, by weight, that must have sound at an offset for it to be a candidate
RUN_S = 0.4  # windows of 0.2 s overlap, so the bootstrap draws runs of windows twice as long
LEAST_RUNS = 4  # fewer say nothing about the spread
MOST_RUNS = 400  # more cost memory and change nothing


def weighted_mean(offsets: ArrayLike, confidences: ArrayLike) -> float:
    """Average offsets with their confidences as weights, so that unsure windows count little.

    offsets, confidences: (W,); NaN pairs are left out. Raises NoAnswer if no window has a confidence above 0.
    """
    offset, weight = _pairs(offsets, confidences)
    if weight.sum() <= 0:
        raise NoAnswer("No window of picture is nearer to the sound at one offset than at another.")
    return float(np.dot(offset, weight) / weight.sum())


def dropped_mean(offsets: ArrayLike, confidences: ArrayLike, least: float) -> float:
    """Average the offsets of the windows whose confidence is at least `least`.

    offsets, confidences: (W,); NaN pairs are left out. Raises NoAnswer if no window is sure enough.
    """
    offset, confidence = _pairs(offsets, confidences)
    sure = confidence >= least
    if not sure.any():
        raise NoAnswer(f"No window of picture reaches a confidence of {least:g}.")
    return float(offset[sure].mean())


def mean_curve(curves: Curves, weights: ArrayLike | None = None) -> Floats:
    """Average the curves of all windows, (M,) float64.

    weights (W,), equal if None. Near the ends of a recording fewer windows have sound at far offsets; so that it does
    not matter which, each window's own median is taken off before averaging, and their average is added at the end.
    NaN where less than a quarter of the windows, by weight, have sound.
    """
    weight = np.ones(len(curves.times)) if weights is None else weights
    runs = _runs(curves, weight, most=1)
    if len(runs.weight) == 0:
        return np.full(len(curves.offsets_s), np.nan)
    depth: Floats = _ratio(runs.depth, runs.cover, runs.weight[:, None])[0]
    return depth + float(runs.level[0] / runs.weight[0])


def bootstrap_interval(
    curves: Curves, weights: ArrayLike, seed: int = 0, rounds: int = 1000, share: float = 0.95
) -> tuple[float, float] | None:
    """Interval (ms) that holds the offset of the mean curve in `share` of the clips that this one could have been.

    Block bootstrap (Kuensch 1989): runs of RUN_S are drawn with replacement, as neighbouring windows overlap.
    None if there are fewer than LEAST_RUNS runs.
    """
    runs = _runs(curves, weights, most=MOST_RUNS)
    count = len(runs.weight)
    if count < LEAST_RUNS:
        return None
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=rounds).astype(np.float64)
    drawn = _ratio(draws @ runs.depth, draws @ runs.cover, (draws @ runs.weight)[:, None])
    low, high = np.nanquantile(minima(drawn, curves.offsets_s)[0], [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class _Runs:
    """Weighted sums over the windows of each run: depth below the window's median and cover (K, M), the rest (K,)."""

    depth: Floats
    cover: Floats
    level: Floats
    weight: Floats


def _runs(curves: Curves, weights: ArrayLike, most: int) -> _Runs:
    """Sum curves over runs of RUN_S, or of several times that if there are more than `most` of them."""
    weight = np.nan_to_num(np.asarray(weights, dtype=np.float64))
    kept = np.flatnonzero((weight > 0.0) & np.isfinite(curves.distance).any(axis=1))
    since = curves.times[kept] - curves.times[kept].min(initial=np.inf)
    number = np.unique(np.floor(since / RUN_S + 1e-9), return_inverse=True)[1]
    number //= max(1, -(-(int(number.max(initial=0)) + 1) // most))
    order = np.argsort(number, kind="stable")
    runs = [kept[run] for run in np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(run)]
    depth, cover = np.zeros((2, len(runs), len(curves.offsets_s)))
    level, total = np.zeros((2, len(runs)))
    for k, run in enumerate(runs):
        for rows in np.split(run, range(ROWS, len(run), ROWS)):
            distance, w = curves.distance[rows].astype(np.float64), weight[rows]
            medium = medians(distance)
            depth[k] += w @ np.nan_to_num(distance - medium[:, None])
            cover[k] += w @ np.isfinite(distance)
            level[k] += w @ medium
            total[k] += w.sum()
    return _Runs(depth, cover, level, total)


def _ratio(depth: Floats, cover: Floats, total: Floats) -> Floats:
    """Mean depths from their sums, NaN where too little is known."""
    enough = (cover >= LEAST_COVER * total) & (cover > 0.0)
    return np.divide(depth, cover, out=np.full_like(depth, np.nan), where=enough)


def _pairs(offsets: ArrayLike, confidences: ArrayLike) -> tuple[Floats, Floats]:
    offset, confidence = np.asarray(offsets, dtype=np.float64), np.asarray(confidences, dtype=np.float64)
    if offset.shape != confidence.shape or offset.ndim != 1:
        raise InputError(f"Every offset needs one confidence: {offset.shape} and {confidence.shape} do not match.")
    known = np.isfinite(offset) & np.isfinite(confidence)
    return offset[known], confidence[known]
