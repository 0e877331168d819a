"""A timeline turned into a corrected sound: shifted, stretched, cut and cross-faded, sample by sample (pure numpy).

An event seen at time t is heard at t + offset(t). So the corrected sound at time t is the source's at t + offset(t).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from syncnet.stretch import Floats, read_at_speed
from syncnet.timeline import Timeline

FADE_S = 0.02
BLOCK = 1 << 16


@dataclass(frozen=True)
class Piece:
    """A stretch of the corrected sound: samples [start, stop) come from `source` on, at `speed` source samples each."""

    start: int
    stop: int
    source: float
    speed: float

    def source_at(self, sample: int) -> float:
        """Place in the source of a sample of the corrected sound."""
        return self.source + (sample - self.start) * self.speed


class Tape:
    """A source of sound that is read forward, with some samples behind kept for steps back.

    `chunks` yields consecutive (C, n) arrays that begin at sample 0; `keep` samples are held behind the newest one
    asked for. Reads beyond either end give silence.
    """

    def __init__(self, chunks: Iterator[Floats], channels: int, keep: int) -> None:
        self._chunks = chunks
        self._held = np.zeros((channels, 0), np.float32)
        self._start = 0  # sample number of the first one held
        self._keep = keep
        self._ended = False

    def read(self, start: int, stop: int) -> Floats:
        """Samples [start, stop) of all channels, (C, stop - start) float32, silence where the source has none."""
        self._fill(stop)
        out = np.zeros((len(self._held), max(0, stop - start)), np.float32)
        first, last = max(start, self._start), min(stop, self._start + self._held.shape[1])
        if start < self._start and self._start > 0 and stop > 0:
            raise ValueError(f"sample {max(start, 0)} is no longer held (from {self._start} on)")
        if first < last:
            out[:, first - start : last - start] = self._held[:, first - self._start : last - self._start]
        return out

    def _fill(self, stop: int) -> None:
        fresh = [self._held]
        size = self._start + self._held.shape[1]
        while size < stop and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            if chunk is not None:
                fresh.append(chunk)
                size += chunk.shape[1]
        if len(fresh) > 1:
            held = np.concatenate(fresh, axis=1)
            drop = min(max(0, stop - self._keep - self._start), held.shape[1])
            self._held, self._start = held[:, drop:], self._start + drop


def pieces(
    timeline: Timeline, start_s: float, end_s: float, rate: int, source_start_s: float | None = None
) -> tuple[Piece, ...]:
    """The pieces of the corrected sound that lasts from `start_s` to `end_s`.

    The source begins at `source_start_s`, by default at `start_s`, where `Piece.source` is 0. Each segment of the
    timeline gives one piece; the first and the last reach to the ends.
    """
    segments = timeline.segments
    if not segments:
        raise ValueError("an undecided timeline cannot be corrected")
    total = round((end_s - start_s) * rate)
    ahead = 0.0 if source_start_s is None else (start_s - source_start_s) * rate
    inner = [min(max(round((s.end_s - start_s) * rate), 0), total) for s in segments[:-1]]
    found: list[Piece] = []
    for (first, last), segment in zip(pairwise([0, *inner, total]), segments, strict=True):
        if first >= last:
            continue
        length = max(segment.end_s - segment.start_s, 1e-9)
        speed = 1.0 + (segment.end_ms - segment.start_ms) / 1e3 / length
        time = start_s + first / rate
        offset = (segment.start_ms + (speed - 1.0) * 1e3 * (time - segment.start_s)) / 1e3
        source = first + ahead + offset * rate
        found.append(Piece(first, last, float(round(source)) if speed == 1.0 else source, speed))
    return tuple(found)


def reach_back(plan: tuple[Piece, ...], rate: int) -> int:
    """How many samples behind the newest a `Tape` must keep for a plan."""
    back = max((a.source_at(a.stop) - b.source for a, b in pairwise(plan)), default=0.0)
    return int(max(0.0, back)) + rate + BLOCK * 2


def retimed(tape: Tape, plan: tuple[Piece, ...], rate: int) -> Iterator[Floats]:
    """The corrected sound in consecutive blocks (C, n); neighbouring pieces are cross-faded over 20 ms."""
    fades = [0, *(_fade_length(a, b, rate) for a, b in pairwise(plan)), 0]
    fading: Floats | None = None
    for piece, fade_in, fade_out in zip(plan, fades, fades[1:], strict=False):
        marks = _marks(piece.start - fade_in // 2, piece.stop + fade_out // 2, fade_in, fade_out)
        sizes = [b - a for a, b in pairwise(marks)]
        blocks = _with_last(read_at_speed(tape.read, piece.source_at(marks[0]), piece.speed, sizes, rate))
        for block, is_last in blocks:
            whole = block if fading is None else _cross_faded(fading, block)
            fading = block if is_last and fade_out else None
            if fading is None:
                yield whole


def _marks(first: int, last: int, fade_in: int, fade_out: int) -> list[int]:
    """Where the blocks of a piece begin and end: the fades are blocks of their own."""
    inner = range(first + fade_in, last - fade_out, BLOCK)
    return sorted({first, *inner, last - fade_out, last})


def _with_last(blocks: Iterator[Floats]) -> Iterator[tuple[Floats, bool]]:
    """Each block with whether it is the last one."""
    before: Floats | None = None
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True


def _cross_faded(old: Floats, new: Floats) -> Floats:
    """Equal power: the two sides of an edit are strangers, so their powers add."""
    angle = ((np.arange(old.shape[1]) + 0.5) / old.shape[1] * np.pi / 2).astype(np.float32)
    return np.asarray(old * np.cos(angle) + new * np.sin(angle), dtype=np.float32)


def _fade_length(before: Piece, after: Piece, rate: int) -> int:
    """Even, and short enough that the two fades of a piece do not meet."""
    shortest = min(before.stop - before.start, after.stop - after.start)
    return min(round(FADE_S * rate), shortest // 2) // 2 * 2
