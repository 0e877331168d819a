"""How well each offset explains each short stretch of time: the ground on which a timeline is fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPAN_S = 0.4
"""Seconds of windows pooled into one block: long enough to rise above one window's noise, short enough for an edit."""

INDEPENDENT_S = 0.1
"""Offsets closer than this see mostly the same sound, so they count as one guess."""

_SHARPNESS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
_UNRELATED = (0.1, 0.3, 0.6)


@dataclass(frozen=True)
class Blocks:
    """Distance curves pooled over short stretches of one or many face tracks.

    `slots` (B,) int64 number the stretches (slot k is [k, k+1) * `span_s` on the clock); several tracks may share one.
    `curves` (B, M) float32 are means of (distance - that window's median), NaN where the sound does not reach.
    `windows` (B,) int64 says how many windows each block pools.
    """

    slots: NDArray[np.int64]
    curves: NDArray[np.float32]
    windows: NDArray[np.int64]
    span_s: float = SPAN_S

    @property
    def times(self) -> NDArray[np.float64]:
        """Middle of each block in seconds, shape (B,)."""
        return np.asarray((self.slots + 0.5) * self.span_s, dtype=np.float64)


@dataclass(frozen=True)
class Evidence:
    """Log-likelihood of each offset against "unrelated", one row per stretch of time that holds windows.

    `times` (T,) float64 seconds ascending; `support` (T, M) float32 nats, bounded above and below;
    `rows` (B,) int64 says which row of `support` each block went into; `depth` (B, M) is its standardised curve.
    `sharpness` and `unrelated` are the two parameters chosen (see `evidence`).
    """

    times: NDArray[np.float64]
    support: NDArray[np.float32]
    rows: NDArray[np.int64]
    depth: NDArray[np.float32]
    sharpness: float
    unrelated: float


def pool(times: NDArray[np.floating], distances: NDArray[np.floating], *, span_s: float = SPAN_S) -> Blocks:
    """Pool the curves of one track's windows into blocks.

    `times` (W,) seconds, `distances` (W, M) with NaN outside the sound. A three-hour film may be pooled track by track
    and joined with `join`, so that only blocks are kept.
    """
    times = np.asarray(times, dtype=np.float64)
    distances = np.asarray(distances)
    if distances.ndim != 2 or times.shape != distances.shape[:1]:
        raise ValueError(f"times {times.shape} and distances {distances.shape} do not belong together")
    heard = np.isfinite(distances)
    kept = heard.any(axis=1)
    times, distances, heard = times[kept], distances[kept], heard[kept]
    if not len(times):
        none = np.zeros(0, np.int64)
        return Blocks(none, np.zeros((0, distances.shape[1]), np.float32), none, span_s)
    centred = np.where(heard, distances - np.nanmedian(distances, axis=1, keepdims=True), 0.0)
    slots, place = np.unique(np.floor(times / span_s).astype(np.int64), return_inverse=True)
    total = np.zeros((len(slots), distances.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, place, centred)
    np.add.at(count, place, heard)
    windows = np.bincount(place, minlength=len(slots)).astype(np.int64)
    known = count * 2 >= windows[:, None]
    curves = np.where(known, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return Blocks(slots, curves, windows, span_s)


def join(parts: Sequence[Blocks]) -> Blocks:
    """Put the blocks of several tracks or shots together, ordered by time; `parts` must share span and offsets."""
    if not parts:
        raise ValueError("join needs at least one Blocks")
    if len({(part.span_s, part.curves.shape[1]) for part in parts}) > 1:
        raise ValueError("blocks of different spans or offset ranges cannot be joined")
    slots = np.concatenate([part.slots for part in parts])
    order = np.argsort(slots, kind="stable")
    curves = np.concatenate([part.curves for part in parts])[order]
    windows = np.concatenate([part.windows for part in parts])[order]
    return Blocks(slots[order], curves, windows, parts[0].span_s)


def standardised(curves: NDArray[np.floating]) -> NDArray[np.float32]:
    """Depth of each curve below its median in units of its own spread, (B, M) float32; NaN stays NaN.

    The spread is the median absolute deviation over the offsets, half from the block itself and half from all blocks.
    """
    if not len(curves):
        return np.zeros(curves.shape, np.float32)
    middle = _nanmedian(curves)
    spread = 1.4826 * _nanmedian(np.abs(curves - middle))
    known = spread[np.isfinite(spread) & (spread > 0)]
    usual = float(np.median(known)) if len(known) else 1.0
    own = np.where(np.isfinite(spread), spread, usual)
    return ((middle - curves) / np.sqrt(0.5 * own**2 + 0.5 * usual**2)).astype(np.float32)


def independent_offsets(offsets_s: NDArray[np.floating]) -> float:
    """How many independent guesses a range of offsets amounts to."""
    return max(1.0, float(offsets_s[-1] - offsets_s[0]) / INDEPENDENT_S)


def evidence(blocks: Blocks, offsets_s: NDArray[np.floating], *, switch_cost: float) -> Evidence:
    """Turn pooled curves into log-likelihoods, with the sharpness that explains these very blocks best.

    A block either follows the speaker (likelihood grows with the standardised depth) or is unrelated (a silent face,
    an off-screen voice: uniform). How often and how sharply is chosen by maximum likelihood of the best path.
    """
    depth = standardised(blocks.curves)
    slots, rows = np.unique(blocks.slots, return_inverse=True)
    times = np.asarray((slots + 0.5) * blocks.span_s, dtype=np.float64)
    if not len(slots):
        return Evidence(times, np.zeros((0, len(offsets_s)), np.float32), rows, depth, 1.0, 0.5)
    sample = rows < 1500  # a quarter of an hour settles two parameters
    best = max(
        ((sharp, unrelated) for sharp in _SHARPNESS for unrelated in _UNRELATED),
        key=lambda p: best_path(_sum_rows(_support(depth[sample], *p), rows[sample]), switch_cost)[1],
    )
    return Evidence(times, _sum_rows(_support(depth, *best), rows), rows, depth, *best)


def best_path(
    support: NDArray[np.floating], switch_cost: float | NDArray[np.floating]
) -> tuple[NDArray[np.int64], float]:
    """The most likely piecewise constant path through `support` (T, M) by dynamic programming (Viterbi 1967).

    `switch_cost` is paid for each change of offset: one number, or (T,) with the cost of changing before row t.
    Returns the column of each row (T,) and the path's score without the first offset's own prior.
    """
    steps, states = support.shape
    costs = np.broadcast_to(np.asarray(switch_cost, dtype=np.float64), (steps,))
    jumped = np.zeros((steps, states), dtype=bool)
    source = np.zeros(steps, dtype=np.int64)
    score = support[0].astype(np.float64)
    for t in range(1, steps):
        source[t] = int(score.argmax())
        after_jump = score[source[t]] - costs[t]
        jumped[t] = score < after_jump
        score = np.where(jumped[t], after_jump, score) + support[t]
    path = np.empty(steps, dtype=np.int64)
    path[-1] = int(score.argmax())
    for t in range(steps - 1, 0, -1):
        path[t - 1] = source[t] if jumped[t, path[t]] else path[t]
    return path, float(score.max())


def best_line(evidence: Evidence, offsets_s: NDArray[np.floating], steepest: float) -> tuple[float, float, float]:
    """The straight line of offsets over time with the most support, by summing along all lines (Hough 1962).

    `steepest` bounds the slope in seconds per second. A line may leave the range by half of it, where nothing speaks
    for or against it. Returns (offset in s at the first time, at the last time, score).
    """
    times, columns = evidence.times, evidence.support.shape[1]
    length = max(float(times[-1] - times[0]), 1e-9)
    position = (times - times[0]) / length
    hop = float(offsets_s[1] - offsets_s[0])
    margin = columns // 2
    cells, place = np.unique(np.minimum(position * 150, 149).astype(np.int64), return_inverse=True)
    summed = np.zeros((len(cells), columns + 2 * margin), np.float32)
    np.add.at(summed[:, margin : margin + columns], place, evidence.support)
    middle = np.bincount(place, position) / np.bincount(place)
    stride = max(1, round(0.02 / hop), columns // 400)
    reach = int(np.ceil(steepest * length / hop))
    everywhere = np.arange(0, summed.shape[1], stride)
    first, last = best_ends(_widened(summed, stride // 2), middle, everywhere, everywhere, max(reach, stride))
    near = np.arange(-2 * stride, 2 * stride + 1)
    first, last = best_ends(summed, middle, first + near, last + near, reach)
    column = np.rint(first + (last - first) * position).astype(np.int64) - margin
    inside = (column >= 0) & (column < columns)
    score = float(evidence.support[np.flatnonzero(inside), column[inside]].sum())
    start = float(offsets_s[0])
    return start + (first - margin) * hop, start + (last - margin) * hop, score


def _widened(summed: NDArray[np.float32], by: int) -> NDArray[np.float32]:
    """The best of each column and its neighbours, so that a coarse grid misses no line."""
    wide = summed.copy()
    for shift in range(1, by + 1):
        wide[:, shift:] = np.maximum(wide[:, shift:], summed[:, :-shift])
        wide[:, :-shift] = np.maximum(wide[:, :-shift], summed[:, shift:])
    return wide


def best_ends(
    summed: NDArray[np.float32],
    middle: NDArray[np.float64],
    firsts: NDArray[np.int64],
    lasts: NDArray[np.int64],
    reach: int,
) -> tuple[int, int]:
    """The pair of end columns, at most `reach` apart, whose line sums to the most.

    `summed` (C, M) nats, one row per cell whose place along the line is `middle` (C,) in 0..1; `firsts` and `lasts` are
    the columns tried at either end.
    """
    firsts, lasts = (np.unique(np.clip(ends, 0, summed.shape[1] - 1)) for ends in (firsts, lasts))
    cells = np.arange(len(summed))[None]
    best, ends = -np.inf, (int(firsts[0]), int(firsts[0]))
    for first in firsts:
        to = lasts[np.abs(lasts - first) <= reach]
        if len(to):
            along = np.rint(first + (to[:, None] - first) * middle[None]).astype(np.int64)
            scores = summed[cells, along].sum(axis=1)
            if scores.max() > best:
                best, ends = float(scores.max()), (int(first), int(to[int(scores.argmax())]))
    return ends


def _support(depth: NDArray[np.float32], sharpness: float, unrelated: float) -> NDArray[np.float32]:
    power = np.exp(sharpness * np.minimum(np.nan_to_num(depth, nan=0.0), 12.0))
    relative = power / power.mean(axis=1, keepdims=True)
    return np.where(np.isnan(depth), 0.0, np.log(unrelated + (1 - unrelated) * relative)).astype(np.float32)


def _sum_rows(support: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    total = np.zeros((int(rows.max()) + 1, support.shape[1]), np.float32)
    np.add.at(total, rows, support)
    return total


def _nanmedian(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Median over the last axis without a warning for rows that are all NaN."""
    empty = ~np.isfinite(values).any(axis=-1, keepdims=True)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0.0, values), axis=-1, keepdims=True))
