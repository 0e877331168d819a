"""Sound read at another speed: resampled where nobody hears the pitch change, else with the pitch kept (pure numpy)."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Read = Callable[[int, int], Floats]
"""Gives samples [start, stop) of all channels, (C, stop - start); zeros where there are none."""

INAUDIBLE = 0.0029
"""Change of speed up to which sound is resampled: five cents of pitch, less than listeners tell apart."""

_TAPS = 32
_PHASES = 8192
_FRAME_S = 0.04
_SEEK_S = 0.01


def read_at_speed(read: Read, position: float, speed: float, counts: Iterable[int], rate: int) -> Iterator[Floats]:
    """Read blocks of `counts` samples, (C, count) each, from `position` on, `speed` source samples for each sample.

    Within `INAUDIBLE` of 1 by a windowed sinc (pitch follows the speed), else by WSOLA (pitch kept).
    """
    if abs(speed - 1.0) > INAUDIBLE:
        yield from _in_blocks(stretched(read, position, speed, rate), counts)
        return
    done = 0
    for count in counts:
        if speed == 1.0:
            first = round(position) + done
            yield read(first, first + count)
        else:
            yield resampled(read, position + done * speed, speed, count)
        done += count


def resampled(read: Read, position: float, speed: float, count: int) -> Floats:
    """Band-limited interpolation with a Kaiser-windowed sinc of 32 taps, for speeds close to 1."""
    places = position + speed * np.arange(count)
    steps = np.round(places * _PHASES).astype(np.int64)
    whole, phase = steps // _PHASES, steps % _PHASES
    first = int(whole[0]) - _TAPS // 2 + 1
    source = read(first, int(whole[-1]) + _TAPS // 2 + 1)
    weights = _sinc_table()[phase]
    views = np.lib.stride_tricks.sliding_window_view(source, _TAPS, axis=1)
    return np.stack([np.einsum("nt,nt->n", channel[whole - whole[0]], weights) for channel in views])


def stretched(read: Read, position: float, speed: float, rate: int) -> Iterator[Floats]:
    """WSOLA (Verhelst & Roelands 1993): overlapping frames, each from where it best continues the one before.

    A frame strays from its due place by at most 10 ms and the error does not grow. All channels move together.
    Yields hops of 20 ms without end.
    """
    half, seek = round(_FRAME_S * rate / 2), round(_SEEK_S * rate)
    window = np.hanning(2 * half + 1)[: 2 * half].astype(np.float32)
    chosen = round(position)
    tail = window[half:] * read(chosen, chosen + half)
    follow = chosen
    for hop in itertools.count():
        due = round(position + hop * half * speed)
        chosen = due + _best_shift(read, due, follow, half, seek)
        frame = window * read(chosen, chosen + 2 * half)
        yield tail + frame[:, :half]
        tail, follow = frame[:, half:], chosen + half


def _in_blocks(hops: Iterator[Floats], counts: Iterable[int]) -> Iterator[Floats]:
    held = next(hops)
    for wanted in counts:
        parts = [held]
        size = held.shape[1]
        while size < wanted:
            parts.append(next(hops))
            size += parts[-1].shape[1]
        joined = np.concatenate(parts, axis=1)
        yield joined[:, :wanted]
        held = joined[:, wanted:]


def _best_shift(read: Read, due: int, follow: int, half: int, seek: int) -> int:
    """Shift within ±seek at which the sound at `due` is most like the sound that would follow, both over one hop."""
    template = read(follow, follow + half).mean(axis=0)
    region = read(due - seek, due + seek + half).mean(axis=0)
    energy = np.convolve(region**2, np.ones(half, np.float32), "valid")
    likeness = np.correlate(region, template, "valid") / np.sqrt(np.maximum(energy, 1e-9))
    nearness = 1e-6 * np.abs(np.arange(-seek, seek + 1))  # silence is alike everywhere: stay where due
    return int(np.argmax(likeness - nearness)) - seek


_table: list[Floats] = []


def _sinc_table() -> Floats:
    """Interpolation weights (phases, taps) float32, each row summing to 1."""
    if not _table:
        taps = np.arange(-_TAPS // 2 + 1, _TAPS // 2 + 1)
        distance = taps[None] - np.arange(_PHASES)[:, None] / _PHASES
        weights = np.sinc(distance) * np.i0(9.0 * np.sqrt(np.maximum(0.0, 1 - (distance * 2 / _TAPS) ** 2)))
        _table.append((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
    return _table[0]
