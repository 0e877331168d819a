"""Where a piecewise constant path of offsets changes, and where it had better not (pure numpy)."""

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Evidence
from syncnet.shot_offsets import ShotEvidence, split_scores

SMALLEST_STEP_MS = 25.0
_SNAP_NATS = 4.0
_LOOK = 15  # blocks either side of a boundary within which it may move


def cut_before(times: NDArray[np.float64], cuts: NDArray[np.float64], span_s: float) -> NDArray[np.bool_]:
    """For each row, whether a cut lies between it and the row before, or within half a block of that."""
    before = np.concatenate([[times[0]], times[:-1]]) - span_s / 2
    return np.searchsorted(cuts, times + span_s / 2) > np.searchsorted(cuts, before)


def without_small_steps(
    path: NDArray[np.int64], support: NDArray[np.floating], offsets_s: NDArray[np.floating], least_ms: float
) -> NDArray[np.int64]:
    """Join neighbouring segments of a path (T,) whose offsets differ by less than `least_ms`.

    `support` (T, M) nats says which offset a joined segment gets.
    """
    path = path.copy()
    hop_ms = float(offsets_s[1] - offsets_s[0]) * 1e3
    while True:
        edges = np.flatnonzero(np.diff(path)) + 1
        small = [k for k in edges if abs(int(path[k]) - int(path[k - 1])) * hop_ms < least_ms]
        if not small:
            return path
        bounds = np.concatenate([[0], edges, [len(path)]])
        here = int(np.flatnonzero(bounds == small[0])[0])
        joined = slice(bounds[here - 1], bounds[here + 1])
        path[joined] = int(support[joined].sum(axis=0).argmax())


def boundaries(path: NDArray[np.int64], found: Evidence, cuts: NDArray[np.float64]) -> list[float]:
    """Times at which the path changes: on a shot cut where one is near and the evidence does not mind.

    Without a cut it is the median of the boundary's posterior, so that a pause in the speech is halved.
    """
    edges = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    bounds: list[float] = []
    for left, k, right in zip(edges, edges[1:], edges[2:], strict=False):
        first, last = max((left + k) // 2, k - _LOOK), min((k + right) // 2, k + _LOOK)
        rows = slice(first, last)
        gain = found.support[rows, path[k - 1]] - found.support[rows, path[k]]
        score = np.concatenate([[0.0], np.cumsum(gain)])  # of a boundary before row first + i
        bounds.append(_placed(score, first, found.times, cuts))
    return bounds


def shot_boundaries(
    path: NDArray[np.int64], shots: ShotEvidence, found: Evidence, cuts: NDArray[np.float64], hop_s: float
) -> list[float]:
    """Times at which a path over shots (S,) changes, which may be within the shot before or the shot after.

    A cut is preferred as in `boundaries`. Each shot keeps its own offset across a boundary within it.
    """
    bounds: list[float] = []
    for k in np.flatnonzero(np.diff(path)) + 1:
        old, new = int(path[k - 1]), int(path[k])
        earlier = split_scores(found, shots, int(k) - 1, old, new, hop_s) + shots.support[k, new]
        later = split_scores(found, shots, int(k), old, new, hop_s) + shots.support[k - 1, old]
        first = int(shots.edges[k - 1]) if k == 1 or path[k - 2] == old else int(shots.edges[k])
        last = int(shots.edges[k + 1]) if k + 1 == len(path) or path[k + 1] == new else int(shots.edges[k])
        score = np.concatenate([earlier[:-1], later])
        start = first - int(shots.edges[k - 1])
        bounds.append(_placed(score[start : start + last - first + 1], first, found.times, cuts))
    return bounds


def _placed(score: NDArray[np.float64], first: int, all_times: NDArray[np.float64], cuts: NDArray[np.float64]) -> float:
    """Where a boundary lies, given the score of each row from `first` on as the first row after it."""
    times = all_times[first : first + len(score)]
    if len(times) < len(score):
        times = np.append(times, times[-1] + (times[-1] - all_times[-2]) if len(all_times) > 1 else times[-1])
    before = np.concatenate([[all_times[max(first - 1, 0)]], times[:-1]])
    middles = (before + times) / 2
    loss = score.max() - score
    near = [float(cut) for cut in cuts if middles[0] <= cut <= middles[-1]]
    allowed = [(loss[int(np.searchsorted(times, cut))], cut) for cut in near]
    on_cut = [(lost, cut) for lost, cut in allowed if lost < _SNAP_NATS]
    odds = np.cumsum(np.exp(-loss))
    return min(on_cut)[1] if on_cut else float(middles[int(np.searchsorted(odds, odds[-1] / 2))])
