"""From an offset on the grid to a fine one with an interval, along one segment of a timeline (pure numpy)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Blocks, Evidence
from syncnet.shot_offsets import rolled, widened

_DRAWS = 200
_GROUPS = 100
_REACH_S = 0.15
_TILT_S = 0.1


@dataclass(frozen=True)
class Refined:
    """A line of offsets: `offset_s` at the time `middle_s`, `slope` in seconds per second (0 for a constant).

    `interval_ms` bounds the offset at the middle and `rate_interval` the slope in ms per minute (95 %).
    """

    middle_s: float
    offset_s: float
    slope: float
    interval_ms: tuple[float, float]
    rate_interval: tuple[float, float]
    confidence: float
    windows: int

    def at(self, time_s: float) -> float:
        """Offset in seconds at a time in seconds."""
        return self.offset_s + self.slope * (time_s - self.middle_s)


def refine(
    blocks: Blocks,
    found: Evidence,
    offsets_s: NDArray[np.floating],
    band: tuple[float, float],
    line: tuple[float, float],
) -> Refined:
    """Refine one segment's line below the grid of offsets, by a parabola through the summed depth of its blocks.

    `band` is the segment (start, end) in s, `line` the offsets in s at the first and last time of the evidence for a
    drift, or one number twice for a constant. Blocks count as far as they follow the line; the interval is a
    bootstrap over groups of neighbouring blocks (the same draws each time).
    """
    inside = np.flatnonzero((blocks.times >= band[0]) & (blocks.times < band[1]))
    times, depth = blocks.times[inside], found.depth[inside]
    ends = (float(found.times[0]), float(found.times[-1]))
    slope = (line[1] - line[0]) / max(ends[1] - ends[0], 1e-9)
    drifts = line[0] != line[1]
    middle = (ends[0] + ends[1]) / 2 if drifts else (band[0] + band[1]) / 2
    if not len(inside):
        return Refined(middle, line[0], 0.0, (-np.inf, np.inf), (0.0, 0.0), 0.0, 0)
    offset = (line[0] + line[1]) / 2
    expected = offset + slope * (times - middle)
    hop = float(offsets_s[1] - offsets_s[0])
    shifts: NDArray[np.float64] = np.arange(-round(_REACH_S / hop), round(_REACH_S / hop) + 1) * np.float64(hop)
    if not drifts:  # a line may leave the range at its ends, a constant may not
        shifts = shifts[(offset + shifts > offsets_s[0] - hop / 2) & (offset + shifts < offsets_s[-1] + hop / 2)]
    tilts = np.linspace(-_TILT_S, _TILT_S, 21) if drifts else np.zeros(1)
    lean = (times - middle) / max(ends[1] - ends[0], 1e-9)
    weights = _weights(_column(depth, expected, offsets_s), depth, found)
    groups = np.minimum(np.arange(len(times)) * _GROUPS // max(len(times), _GROUPS), _GROUPS - 1)
    summed = np.zeros((int(groups.max()) + 1, len(shifts), len(tilts)))
    for j, tilt in enumerate(tilts):
        for i, shift in enumerate(shifts):
            value = _column(depth, expected + shift + tilt * lean, offsets_s)
            summed[:, i, j] = np.bincount(groups, np.nan_to_num(value) * weights)
    return _settled(
        summed, shifts, tilts, (middle, offset, slope, ends[1] - ends[0]), drifts, blocks, inside, offsets_s
    )


def refine_shots(
    blocks: Blocks,
    found: Evidence,
    offsets_s: NDArray[np.floating],
    edges: NDArray[np.int64],
    band: tuple[float, float],
    line: tuple[float, float],
) -> Refined:
    """Refine one segment's line where every shot may be off by a little of its own; arguments as in `refine`.

    `edges` (S + 1,) are the rows of the evidence at which shots begin. A shot counts once however long it lasts; the
    interval is a bootstrap over shots.
    """
    ends = (float(found.times[0]), float(found.times[-1]))
    drifts = line[0] != line[1]
    slope = (line[1] - line[0]) / max(ends[1] - ends[0], 1e-9)
    middle = (ends[0] + ends[1]) / 2 if drifts else (band[0] + band[1]) / 2
    offset = (line[0] + line[1]) / 2
    hop = float(offsets_s[1] - offsets_s[0])
    rows = np.flatnonzero((found.times >= band[0]) & (found.times < band[1]))
    inside = np.flatnonzero((blocks.times >= band[0]) & (blocks.times < band[1]))
    if not len(rows):
        return Refined(middle, line[0], 0.0, (-np.inf, np.inf), (0.0, 0.0), 0.0, 0)
    times = found.times[rows]
    expected = offset + slope * (times - middle)
    centre = len(offsets_s) // 2
    moved = np.rint((expected - float(offsets_s[0])) / hop).astype(np.int64) - centre
    starts = np.unique(np.searchsorted(rows, edges[(edges >= rows[0]) & (edges <= rows[-1])]))
    starts = np.union1d([0], starts)
    own = np.add.reduceat(rolled(found.support[rows], moved), starts, axis=0).astype(np.float64)
    lengths = np.diff([*starts, len(rows)])
    lean = (np.add.reduceat(times, starts) / lengths - middle) / max(ends[1] - ends[0], 1e-9)
    rounding = np.add.reduceat(expected - (moved + centre) * hop - float(offsets_s[0]), starts) / lengths
    support = widened(own, hop)
    reach = round(_REACH_S / hop)
    shifts: NDArray[np.float64] = np.arange(-reach, reach + 1) * np.float64(hop)
    if not drifts:
        shifts = shifts[(offset + shifts > offsets_s[0] - hop / 2) & (offset + shifts < offsets_s[-1] + hop / 2)]
    tilts = np.linspace(-_TILT_S, _TILT_S, 21) if drifts else np.zeros(1)
    from_centre = np.asarray(offsets_s) - float(offsets_s[centre])
    summed = np.stack(
        [
            np.stack([_column(support, shift + tilt * lean + rounding, from_centre) for shift in shifts], axis=1)
            for tilt in tilts
        ],
        axis=2,
    )
    return _settled(
        summed, shifts, tilts, (middle, offset, slope, ends[1] - ends[0]), drifts, blocks, inside, offsets_s
    )


def _settled(
    summed: NDArray[np.float64],
    shifts: NDArray[np.float64],
    tilts: NDArray[np.float64],
    line: tuple[float, float, float, float],
    drifts: bool,
    blocks: Blocks,
    inside: NDArray[np.int64],
    offsets_s: NDArray[np.floating],
) -> Refined:
    """The peak of what groups (G, shifts, tilts) say together, and its interval.

    `line`: time of its middle, offset there, slope, and how long the evidence lasts.
    """
    middle, offset, slope, lasts = line
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(summed), np.full(len(summed), 1 / len(summed)), size=_DRAWS)
    here = _peak(summed.sum(axis=0), shifts, tilts)
    spread = np.array([_peak(surface, shifts, tilts) for surface in np.tensordot(draws, summed, axes=1)])
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    duration = max(lasts, 1e-9)
    to_rate = 60e3 / duration
    expected = offset + slope * (blocks.times[inside] - middle)
    return Refined(
        middle,
        offset + here[0],
        slope + here[1] / duration if drifts else 0.0,
        (float(offset + low[0]) * 1e3, float(offset + high[0]) * 1e3),
        (float(slope * 60e3 + low[1] * to_rate), float(slope * 60e3 + high[1] * to_rate)) if drifts else (0.0, 0.0),
        _confidence(blocks, inside, expected, offsets_s),
        int(blocks.windows[inside].sum()),
    )


def _column(
    depth: NDArray[np.floating], at_s: NDArray[np.float64], offsets_s: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Each row's value at its own offset, linear between the grid's columns, (B,)."""
    position = (at_s - float(offsets_s[0])) / float(offsets_s[1] - offsets_s[0])
    position = np.clip(position, 0, depth.shape[1] - 1)
    left = np.minimum(np.floor(position + 1e-6).astype(np.int64), depth.shape[1] - 2)
    part = np.clip(position - left, 0.0, 1.0)
    rows = np.arange(len(depth))
    return np.asarray(depth[rows, left] * (1 - part) + np.where(part > 1e-6, depth[rows, left + 1], 0.0) * part)


def _weights(value: NDArray[np.float64], depth: NDArray[np.floating], found: Evidence) -> NDArray[np.float64]:
    """Probability that each block follows the line rather than being unrelated, (B,)."""
    power = np.exp(found.sharpness * np.minimum(np.nan_to_num(depth), 12.0)).mean(axis=1)
    related = (1 - found.unrelated) * np.exp(found.sharpness * np.minimum(np.nan_to_num(value), 12.0)) / power
    return np.asarray(related / (related + found.unrelated))


def _peak(surface: NDArray[np.float64], shifts: NDArray[np.float64], tilts: NDArray[np.float64]) -> tuple[float, float]:
    i, j = np.unravel_index(int(surface.argmax()), surface.shape)
    return _parabola(surface[:, j], int(i), shifts), _parabola(surface[i], int(j), tilts)


def _parabola(values: NDArray[np.float64], k: int, grid: NDArray[np.float64]) -> float:
    """Where the parabola through a maximum and its two neighbours peaks."""
    if not 0 < k < len(values) - 1:
        return float(grid[k])
    left, top, right = values[k - 1 : k + 2]
    bend = left - 2 * top + right
    return float(grid[k] + (0.5 * (left - right) / bend if bend < 0 else 0.0) * (grid[1] - grid[0]))


def _confidence(
    blocks: Blocks, inside: NDArray[np.int64], expected: NDArray[np.float64], offsets_s: NDArray[np.floating]
) -> float:
    """Median minus minimum of the mean distance curve, the curves shifted so that the line stands still."""
    hop = float(offsets_s[1] - offsets_s[0])
    centre = float(np.mean(expected))
    columns = np.arange(blocks.curves.shape[1])
    total, count = np.zeros(len(columns)), np.zeros(len(columns))
    for row, at in zip(inside, expected, strict=True):
        source = columns + round((at - centre) / hop)
        fits = (source >= 0) & (source < len(columns))
        curve = np.full(len(columns), np.nan)
        curve[fits] = blocks.curves[row, source[fits]]
        known = np.isfinite(curve)
        total[known] += curve[known] * blocks.windows[row]
        count[known] += blocks.windows[row]
    mean = total[count > 0] / count[count > 0]
    return float(np.median(mean) - mean.min()) if len(mean) else 0.0
