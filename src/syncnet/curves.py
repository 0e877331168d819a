"""From embeddings of picture and sound to curves, how far each window of picture is from the sound at each offset.

And from a curve to its minimum: the offset, and how much it stands out.

Sign: offset = audio time - video time of the same event. Negative: audio is early (leads). Positive: audio is late.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError

HOPS_PER_S = 100  # windows of sound per second, hence samples of a curve per second of offset
HOP_S = 1 / HOPS_PER_S
MAX_RANGE_S = 10.0
ROWS = 1024  # curves read at a time, to bound memory
BLOCK_S = 2.56  # seconds of picture that one matrix product compares

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Distance of each window of picture to the sound at each offset.

    times (W,) float64: middle of each window, seconds. offsets_s (M,) float64: evenly spaced, ascending, seconds.
    distance (W, M) float32: NaN where there is no sound.
    """

    times: Floats
    offsets_s: Floats
    distance: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.distance.shape != (len(self.times), len(self.offsets_s)):
            raise InputError(
                f"Curves of {len(self.times)} windows at {len(self.offsets_s)} offsets cannot have "
                f"distances of the shape {self.distance.shape}."
            )


@dataclass(frozen=True)
class WindowOffsets:
    """What each window says by itself; every array (W,).

    times: seconds. offset_ms: vertex of the parabola through the least sample and its two neighbours. grid_ms: the
    offset of the least sample itself. confidence: median - min, in distance. at_edge: the least sample is the first or
    the last there is, so that the minimum may lie outside. A window without any sound has NaN, NaN, NaN, False.
    """

    times: Floats
    offset_ms: Floats
    grid_ms: Floats
    confidence: Floats
    at_edge: NDArray[np.bool_]


def distances(
    video: NDArray[np.float32],
    audio: NDArray[np.float32],
    video_times: Floats,
    audio_times: Floats,
    range_s: float = 1.0,
) -> Curves:
    """Compare every window of picture with the sound up to `range_s` before and after it.

    video (W, D), audio (N, D) float32 embeddings; video_times (W,), audio_times (N,) seconds: the middles of their
    windows, the latter HOP_S apart. The curve of the window at t has at offset o the distance to the sound at t + o,
    interpolated between the two windows of sound around that time.
    Returns Curves with M = 2 * round(100 * range_s) + 1 offsets, NaN outside the sound. The distance is Euclidean.
    Raises InputError if shapes do not fit, the range is not within [0.01, 10] or the sound is not regular.
    """
    _check(video, audio, video_times, audio_times, range_s)
    reach = round(range_s * HOPS_PER_S)
    offsets = np.arange(-reach, reach + 1) / HOPS_PER_S
    times = np.asarray(video_times, dtype=np.float64)
    result = np.full((len(video), len(offsets)), np.nan, dtype=np.float32)
    if len(video) == 0 or len(audio) == 0:
        return Curves(times, offsets, result)
    # Where the sound of each window would start in the list, at the lowest offset: whole part and rest.
    position = (times - audio_times[0]) * HOPS_PER_S - reach
    start = np.floor(position + 1e-6).astype(np.int64)
    rest = np.maximum(position - start, 0.0).astype(np.float32)
    rest[rest < 1e-5] = 0.0  # times are sums of decimal fractions: do not ask for a neighbour because of their rounding
    for rows in _blocks(times):
        result[rows] = _banded(video[rows], audio, start[rows], rest[rows], len(offsets))
    return Curves(times, offsets, result)


def _check(
    video: NDArray[np.float32],
    audio: NDArray[np.float32],
    video_times: Floats,
    audio_times: Floats,
    range_s: float,
) -> None:
    if video.ndim != 2 or audio.ndim != 2 or video.shape[1] != audio.shape[1]:
        raise InputError(f"Embeddings must be (W, D) and (N, D), not {video.shape} and {audio.shape}.")
    if np.shape(video_times) != video.shape[:1] or np.shape(audio_times) != audio.shape[:1]:
        raise InputError("Every embedding needs exactly one time.")
    if not HOP_S <= range_s <= MAX_RANGE_S:
        raise InputError(f"The range must be between {HOP_S} and {MAX_RANGE_S:g} seconds, not {range_s}.")
    regular = audio_times[:1] + np.arange(len(audio_times)) / HOPS_PER_S
    if len(audio_times) and np.abs(audio_times - regular).max() > 1e-3:
        raise InputError(f"Windows of sound must be {HOP_S} s apart, without gaps.")


def _blocks(times: Floats) -> Iterator[slice]:
    """Runs of windows that lie within BLOCK_S of each other."""
    number = np.floor((times - times[0]) / BLOCK_S)
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(times)]
    yield from (slice(low, high) for low, high in pairwise(edges))


def _banded(
    video: NDArray[np.float32],
    audio: NDArray[np.float32],
    start: NDArray[np.int64],
    rest: NDArray[np.float32],
    samples: int,
) -> NDArray[np.float32]:
    """Distances (b, samples) of each window i to the sound at start[i] + rest[i], start[i] + 1 + rest[i], ..."""
    low = max(int(start.min()), 0)
    high = min(int(start.max()) + samples + 1, len(audio))
    if high <= low:
        return np.full((len(video), samples), np.nan, dtype=np.float32)
    sound = audio[low:high]
    squared = (
        np.square(video).sum(axis=1, keepdims=True) + np.square(sound).sum(axis=1) - np.float32(2.0) * (video @ sound.T)
    )
    # One more column of NaN stands for every window of sound that is not there.
    full = np.full((len(video), high - low + 1), np.nan, dtype=np.float32)
    np.sqrt(np.maximum(squared, 0.0, out=squared), out=full[:, :-1])
    column = start[:, None] - low + np.arange(samples + 1)
    column[(column < 0) | (column >= high - low)] = high - low
    near = np.take_along_axis(full, column, axis=1)
    rest = rest[:, None]
    between = near[:, :-1] * (1 - rest) + np.where(rest > 0, near[:, 1:], np.float32(0.0)) * rest
    return np.asarray(between, dtype=np.float32)


def join(parts: Sequence[Curves]) -> Curves:
    """Put the curves of several tracks together, to be read as one clip.

    parts: at least one; all over the same offsets. Raises InputError if they are not.
    """
    if not parts:
        raise InputError("There are no curves to put together.")
    if any(not np.array_equal(part.offsets_s, parts[0].offsets_s) for part in parts):
        raise InputError("Only curves over the same range of offsets can be put together.")
    return gather(list(parts))


def gather(parts: list[Curves]) -> Curves:
    """Put curves together as `join` does, taking each off the list once it is copied: a film's are not held twice.

    parts: at least one, all over the same offsets, which is not checked; empty afterwards. Returns Curves of all their
    windows, in order.
    """
    times, offsets = np.concatenate([part.times for part in parts]), parts[0].offsets_s
    whole = np.empty((len(times), len(offsets)), np.float32)
    last = len(times)
    while parts:
        distance = parts.pop().distance
        whole[last - len(distance) : last] = distance
        last -= len(distance)
    return Curves(times, offsets, whole)


def window_offsets(curves: Curves) -> WindowOffsets:
    """Read the minimum of every window's own curve."""
    parts = [
        minima(curves.distance[low : low + ROWS], curves.offsets_s) for low in range(0, max(len(curves.times), 1), ROWS)
    ]
    offset, grid, confidence, at_edge = (np.concatenate(column) for column in zip(*parts, strict=True))
    return WindowOffsets(curves.times, offset, grid, confidence, at_edge)


def minima(curves: NDArray[np.floating], offsets_s: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Find the minimum of each of many curves.

    curves (W, M), NaN where unknown, over offsets_s (M,). Returns offset_ms, grid_ms, confidence and at_edge, each
    (W,), as WindowOffsets has them.
    """
    finite = np.isfinite(curves)
    known = finite.any(axis=1)
    filled = np.where(finite, curves, np.inf)
    filled[~known] = 0.0
    rows, last = np.arange(len(filled)), filled.shape[1] - 1
    least = filled.argmin(axis=1)
    at_edge = known & ((least == finite.argmax(axis=1)) | (least == last - finite[:, ::-1].argmax(axis=1)))
    left, depth, right = (filled[rows, np.clip(least + step, 0, last)].astype(np.float64) for step in (-1, 0, 1))
    # The parabola through (-1, left), (0, depth), (1, right) has its vertex at (left - right) / (2 bend).
    bend = left + right - 2.0 * depth
    curved = known & ~at_edge & np.isfinite(bend) & (bend > 0.0)
    left[~curved], right[~curved], bend[~curved] = 0.0, 0.0, 1.0
    offsets_ms = np.round(np.asarray(offsets_s, dtype=np.float64) * 1000.0, 6)
    hop_ms = float(offsets_ms[1] - offsets_ms[0]) if last else 0.0
    grid = np.where(known, offsets_ms[least], np.nan)
    offset = grid + (left - right) / (2.0 * bend) * hop_ms
    return offset, grid, medians(curves) - depth, at_edge


def medians(curves: NDArray[np.floating]) -> Floats:
    """Median of the known values of each row of (W, M), NaN where none is known; (W,) float64."""
    count = np.isfinite(curves).sum(axis=1)
    ordered = np.sort(curves, axis=1)  # puts NaN last
    rows, known = np.arange(len(ordered)), np.maximum(count, 1)
    low, high = (ordered[rows, middle].astype(np.float64) for middle in ((known - 1) // 2, known // 2))
    return np.asarray((low + high) / 2.0)
