"""How often single windows, or a few neighbours, find the offset: the published 31-candidate protocol.

Each window of five frames is scored against the sound at 31 offsets, whole frames from -15 to +15 around the truth; K
frames of context mean that the scores of K - 4 neighbouring windows are averaged; an answer within one frame counts as
right (Chung, Chung & Kang, "Perfect Match", 2019; figures are averaged over a clip, then over clips).
"""

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves, Floats
from syncnet.errors import InputError

FRAME_S = 0.04
WINDOW_FRAMES = 5
REACH_FRAMES = 15
TOLERANCE_FRAMES = 1
MASK = 1e6  # a distance that no candidate with sound has


def frame_errors(
    curves: Curves, context_frames: int = WINDOW_FRAMES, truth_ms: float = 0.0, published_mask: bool = False
) -> NDArray[np.int64]:
    """Errors (W',) in frames of 40 ms, -15...15, that windows with a context of K frames make in one clip.

    curves: the windows of one track, 40 ms apart, over a range that holds truth_ms +- 600 ms. context_frames: K >= 5.
    Near the ends of a track the average is over the neighbours there are, and at offsets where some of them have no
    sound, over those that have. `published_mask` instead bars such offsets, as the published evaluations do: that
    leaves fewer candidates and flatters short clips. Windows without sound at the true offset are left out.
    Raises InputError if the range of the curves is too small or K is.
    """
    if context_frames < WINDOW_FRAMES:
        raise InputError(f"A context has at least the {WINDOW_FRAMES} frames of one window, not {context_frames}.")
    steps = np.arange(-REACH_FRAMES, REACH_FRAMES + 1)
    scores = _at(curves, np.asarray(truth_ms / 1000.0 + steps * FRAME_S))
    asked = np.isfinite(scores[:, REACH_FRAMES])
    known = np.isfinite(scores)
    rows = context_frames - WINDOW_FRAMES + 1
    if published_mask:
        total, count = _sums(np.where(known, scores, MASK), rows), _sums(np.ones_like(scores), rows)
    else:
        total, count = _sums(np.where(known, scores, 0.0), rows), _sums(known.astype(np.float64), rows)
    mean = np.divide(total, count, out=np.full_like(total, np.inf), where=count > 0.0)
    return np.asarray(steps[mean[asked].argmin(axis=1)], dtype=np.int64)


def accuracy(
    curves: Curves, context_frames: int = WINDOW_FRAMES, truth_ms: float = 0.0, published_mask: bool = False
) -> float:
    """Share of the windows of one clip, with a context of K frames, that find the offset to within one frame.

    Arguments and errors as for `frame_errors`; NaN if no window has sound at the true offset.
    """
    errors = frame_errors(curves, context_frames, truth_ms, published_mask)
    return float(np.mean(np.abs(errors) <= TOLERANCE_FRAMES)) if len(errors) else float("nan")


def _at(curves: Curves, offsets_s: Floats) -> Floats:
    """Curves read at other offsets (K,), between two samples by linear interpolation; (W, K)."""
    low, high = float(curves.offsets_s[0]), float(curves.offsets_s[-1])
    if offsets_s[0] < low - 1e-9 or offsets_s[-1] > high + 1e-9:
        raise InputError(
            f"The curves reach from {low:g} to {high:g} s, but the candidates from {offsets_s[0]:g} to "
            f"{offsets_s[-1]:g} s: compare over a wider range."
        )
    position = (offsets_s - low) / (high - low) * (len(curves.offsets_s) - 1)
    left = np.clip(np.floor(position + 1e-6).astype(np.int64), 0, len(curves.offsets_s) - 1)
    right = np.minimum(left + 1, len(curves.offsets_s) - 1)
    rest = np.maximum(position - left, 0.0)
    rest[rest < 1e-5] = 0.0
    distance = curves.distance.astype(np.float64)
    beyond = np.where(rest > 0.0, distance[:, right], 0.0)
    return np.asarray(distance[:, left] * (1.0 - rest) + beyond * rest)


def _sums(values: Floats, rows: int) -> Floats:
    """Sum of the `rows` rows around each row of (W, K), of those there are."""
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.arange(len(values))
    first = np.maximum(at - rows // 2, 0)
    end = np.minimum(at - rows // 2 + rows, len(values))
    return np.asarray(running[end] - running[first])
