"""What the offset of a file does over time: in sync, constant, drifting, stepping, intermittent, or undecided."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from syncnet.side import side

Kind = Literal["in sync", "constant", "drift", "steps", "intermittent", "undecided"]

IN_SYNC_MS = 20.0
"""Half a frame at 25 fps: below this nobody gains from a repair."""
NOTICEABLE_MS = 40.0
"""One frame at 25 fps: a stretch further off than this counts as out of sync."""


@dataclass(frozen=True)
class Segment:
    """A stretch of picture time and the offset of its sound: `start_ms` at its start, `end_ms` at its end.

    Negative is early, positive late. `interval_ms` is the 95 % interval of the offset at the middle, `confidence` the
    median minus the minimum of the mean distance curve along the segment, `windows` how many took part.
    """

    start_s: float
    end_s: float
    start_ms: float
    end_ms: float
    interval_ms: tuple[float, float]
    confidence: float
    windows: int

    @property
    def offset_ms(self) -> float:
        """Offset at the middle of the segment."""
        return (self.start_ms + self.end_ms) / 2

    def at(self, time_s: float) -> float:
        """Offset in ms at a time in seconds, on the segment's line."""
        length = self.end_s - self.start_s
        return self.start_ms + (self.end_ms - self.start_ms) * ((time_s - self.start_s) / length if length > 0 else 0.5)


@dataclass(frozen=True)
class Inherited:
    """A stretch in which no speaking face was found, so that its offset is that of its neighbours."""

    start_s: float
    end_s: float
    offset_ms: float


@dataclass(frozen=True)
class Timeline:
    """The offset of the sound over the whole file; `segments` cover it without gaps, and are empty when undecided.

    `rate_ms_per_min` is the drift (0 unless `kind` is "drift") with its 95 % interval; `reasons` say what speaks
    against trusting the answer (empty: trust it); `evidence_nats` is the log-likelihood above chance.
    """

    kind: Kind
    start_s: float
    end_s: float
    segments: tuple[Segment, ...] = ()
    inherited: tuple[Inherited, ...] = ()
    rate_ms_per_min: float = 0.0
    rate_interval: tuple[float, float] = (0.0, 0.0)
    evidence_nats: float = 0.0
    reasons: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.reasons

    @property
    def offset_ms(self) -> float | None:
        """Mean offset over time, None when undecided."""
        if not self.segments:
            return None
        lengths = np.array([max(s.end_s - s.start_s, 1e-6) for s in self.segments])
        return float(np.average([s.offset_ms for s in self.segments], weights=lengths))

    @property
    def mean_error_ms(self) -> float | None:
        """Mean over time of the absolute offset: what a repair must lower. None when undecided."""
        if not self.segments:
            return None
        grid = np.linspace(self.start_s, self.end_s, 1001)
        return float(np.mean([abs(self.at(float(t))) for t in grid]))

    def at(self, time_s: float) -> float:
        """Offset in ms at a time in seconds; outside the file that of the nearest segment's line end."""
        if not self.segments:
            raise ValueError("an undecided timeline has no offsets")
        inside = min(max(time_s, self.start_s), self.end_s)
        segment = next((s for s in self.segments if inside < s.end_s), self.segments[-1])
        return segment.at(inside)

    @property
    def words(self) -> str:
        """The timeline in one plain sentence."""
        return in_words(self)


def constant(offset_ms: float, start_s: float, end_s: float) -> Timeline:
    """A timeline of one given offset, for a correction that a user asks for."""
    segment = Segment(start_s, end_s, offset_ms, offset_ms, (offset_ms, offset_ms), 0.0, 0)
    return Timeline("constant", start_s, end_s, (segment,))


def in_words(timeline: Timeline) -> str:
    """One plain sentence for a timeline."""
    segments = timeline.segments
    if timeline.kind == "undecided":
        return "no answer: " + "; ".join(timeline.reasons)
    if timeline.kind == "in sync":
        return f"sound and picture are in sync ({side(timeline.offset_ms or 0.0)})"
    if timeline.kind == "constant":
        return f"audio is {side(segments[0].offset_ms)}"
    if timeline.kind == "drift":
        return (
            f"audio drifts by {timeline.rate_ms_per_min:+.1f} ms per minute, "
            f"from {side(segments[0].start_ms)} to {side(segments[0].end_ms)}"
        )
    parts = [f"{side(s.offset_ms)} from {clock(s.start_s)} to {clock(s.end_s)}" for s in segments[:8]]
    more = f", and {len(segments) - 8} more stretches" if len(segments) > 8 else ""
    verb = "steps" if timeline.kind == "steps" else "is off now and then"
    return f"audio {verb}: " + ", ".join(parts) + more


def clock(time_s: float) -> str:
    """A time as 1:02:03.4 or 2:03.4."""
    tenths = round(abs(time_s) * 10)
    hours, rest = divmod(tenths, 36000)
    minutes, seconds = divmod(rest, 600)
    sign = "-" if time_s < 0 and tenths else ""
    return sign + (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{seconds / 10:04.1f}"
