"""Evidence of shots that are each off by a little of their own, on top of what the whole film is off by (pure numpy).

Recordings cut together were each made, captured or published with a natural offset of their own, commonly some tens of
milliseconds. A drift or a few steps under such disturbances looks like a step at every cut. So every shot's offset is
taken as a draw around the film's offset: log-likelihoods are widened by the distribution of the draws. Now and then a
shot is off by anything at all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Evidence, best_ends

LONGEST_S = 12.0
"""A shot longer than this counts as several: what it is off by may change while it lasts."""

_NEAR_S, _FAR_S, _FAR_SHARE = 0.03, 0.08, 0.3  # scales of the shots' own offsets: most are small, some are not
_REACH_S = 0.2
_STRAY = 0.1  # share of shots that are off by anything


@dataclass(frozen=True)
class ShotEvidence:
    """Log-likelihood of each offset of the film against "unrelated", one row per shot or part of a long one.

    `edges` (S + 1,) int64 are rows of the evidence: shot s holds rows edges[s] to edges[s + 1]. `times` (S,) seconds,
    the mean of its rows. `slope` is the drift in s per s along which its rows were summed. `support` (S, M) float64
    nats; `own` (S, M) is the same before it was widened by the shots' own offsets.
    """

    edges: NDArray[np.int64]
    times: NDArray[np.float64]
    slope: float
    support: NDArray[np.float64]
    own: NDArray[np.float64]


def shot_edges(times: NDArray[np.float64], cuts: NDArray[np.float64], span_s: float) -> NDArray[np.int64]:
    """Rows at which shots begin, and the number of rows: (S + 1,). Shots over `LONGEST_S` are parted evenly.

    `times` (T,) seconds ascending are the middles of rows that last `span_s`; a row belongs to the shot of its middle.
    """
    shots = np.searchsorted(cuts, times, side="right")
    starts = np.flatnonzero(np.diff(shots, prepend=-1))
    edges: list[int] = []
    for first, last in zip(starts, [*starts[1:], len(times)], strict=True):
        lasts = float(times[last - 1] - times[first]) + span_s
        parts = max(1, int(np.ceil(lasts / LONGEST_S)))
        marks = times[first] - span_s / 2 + lasts * np.arange(parts) / parts
        edges += np.unique(first + np.searchsorted(times[first:last], marks)).tolist()
    return np.array([*edges, len(times)], dtype=np.int64)


def shot_evidence(
    found: Evidence, offsets_s: NDArray[np.floating], edges: NDArray[np.int64], slope: float = 0.0
) -> ShotEvidence:
    """Sum the rows of each shot along a drift of `slope` s per s, and widen the sums by the shots' own offsets."""
    hop = float(offsets_s[1] - offsets_s[0])
    lengths = np.diff(edges)
    times = np.add.reduceat(found.times, edges[:-1]) / lengths
    moved = np.rint(slope * (found.times - np.repeat(times, lengths)) / hop).astype(np.int64)
    own = np.add.reduceat(rolled(found.support, moved), edges[:-1], axis=0).astype(np.float64)
    return ShotEvidence(edges, times, slope, widened(own, hop), own)


def rolled(support: NDArray[np.floating], by: NDArray[np.int64]) -> NDArray[np.floating]:
    """Each row (T, M) moved so that column m holds what was in m + by; 0 where there was none: nothing speaks there."""
    columns = np.arange(support.shape[1]) + by[:, None]
    inside = (columns >= 0) & (columns < support.shape[1])
    taken = np.take_along_axis(support, np.clip(columns, 0, support.shape[1] - 1), axis=1)
    return np.where(inside, taken, 0.0)


def widened(own: NDArray[np.floating], hop_s: float) -> NDArray[np.float64]:
    """Log-likelihood of the film's offset (S, M) from that of the shots', when each is off by a draw of its own."""
    chances = own_offset_chances(hop_s)
    reach = len(chances) // 2
    top = np.maximum(own.max(axis=1, keepdims=True), 0.0)
    likely = np.pad(np.exp(own - top), ((0, 0), (reach, reach)), constant_values=0.0)
    likely[:, :reach] = likely[:, -reach:] = np.exp(-top)  # beyond the range nothing speaks for or against
    spread = sum(chance * likely[:, k : k + own.shape[1]] for k, chance in enumerate(chances))
    stray = likely[:, reach : reach + own.shape[1]].mean(axis=1, keepdims=True)
    return np.asarray(np.log((1 - _STRAY) * spread + _STRAY * stray) + top)


def own_offset_chances(hop_s: float) -> NDArray[np.float64]:
    """Chances of a shot's own offset, one for each hop from -0.2 to 0.2 s; they sum to 1."""
    reach = max(1, round(_REACH_S / hop_s))
    offsets = np.arange(-reach, reach + 1) * hop_s
    near, far = (np.exp(-0.5 * (offsets / scale) ** 2) / scale for scale in (_NEAR_S, _FAR_S))
    chances = (1 - _FAR_SHARE) * near + _FAR_SHARE * far
    return np.asarray(chances / chances.sum())


def strays(shots: ShotEvidence, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which shots are rather off by anything at all than near the film's offsets `columns` (S,), (S,) bool."""
    at = np.clip(columns, 0, shots.support.shape[1] - 1)
    here = np.exp(shots.support[np.arange(len(at)), at] - _stray(shots.own))  # of both, in units of straying
    return np.asarray(here < 2.0)


def _stray(own: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-likelihood of shots (S, M) that are off by anything at all, (S,)."""
    return np.asarray(np.logaddexp.reduce(own, axis=1) - np.log(own.shape[1]) + np.log(_STRAY))


def best_shot_line(
    found: Evidence, offsets_s: NDArray[np.floating], edges: NDArray[np.int64], steepest: float
) -> tuple[float, float, float]:
    """The straight line of offsets on which the shots' own offsets lie best: (s at the first time, at the last, score).

    Searched as in `evidence.best_line`, but over shots; the score is that of shots summed along the line itself.
    """
    shots = shot_evidence(found, offsets_s, edges)
    hop = float(offsets_s[1] - offsets_s[0])
    first_time, last_time = float(found.times[0]), float(found.times[-1])
    length = max(last_time - first_time, 1e-9)
    columns = shots.support.shape[1]
    margin = columns // 2
    padded = np.pad(shots.support, ((0, 0), (margin, margin))).astype(np.float32)
    place = (shots.times - first_time) / length
    stride = max(1, round(0.02 / hop), columns // 400)
    reach = max(stride, int(np.ceil(steepest * length / hop)))
    everywhere = np.arange(0, padded.shape[1], stride)
    first, last = best_ends(padded, place, everywhere, everywhere, reach)
    near = np.arange(-2 * stride, 2 * stride + 1)
    first, last = best_ends(padded, place, first + near, last + near, reach)
    aligned = shot_evidence(found, offsets_s, edges, (last - first) * hop / length)
    padded = np.pad(aligned.support, ((0, 0), (margin, margin))).astype(np.float32)
    first, last = best_ends(padded, place, first + near, last + near, reach)
    along = np.rint(first + (last - first) * place).astype(np.int64)
    score = float(padded[np.arange(len(place)), along].sum())
    start = float(offsets_s[0])
    return start + (first - margin) * hop, start + (last - margin) * hop, score


def split_scores(
    found: Evidence, shots: ShotEvidence, shot: int, before: int, after: int, hop_s: float
) -> NDArray[np.float64]:
    """Log-likelihood (n + 1,) of one shot of n rows whose first k are at the column `before`, the others at `after`.

    The shot's own offset is the same on both sides.
    """
    rows = slice(shots.edges[shot], shots.edges[shot + 1])
    support = found.support[rows].astype(np.float64)
    reach = len(own_offset_chances(hop_s)) // 2
    columns = np.arange(-reach, reach + 1)

    def along(column: int) -> NDArray[np.float64]:
        places = np.clip(column + columns, 0, support.shape[1] - 1)
        return np.asarray(np.where(places == column + columns, support[:, places], 0.0))

    none = np.zeros((1, len(columns)))
    left = np.concatenate([none, np.cumsum(along(before), axis=0)])
    right = np.concatenate([none, np.cumsum(along(after), axis=0)])
    total = left + right[-1] - right
    follows = np.logaddexp.reduce(total + np.log(own_offset_chances(hop_s)), axis=1)
    return np.asarray(np.logaddexp(follows + np.log(1 - _STRAY), _stray(shots.own[shot : shot + 1])))
