"""Offsets over time: in sync, constant, drifting, stepping, intermittent, or undecided (pure numpy).

One window of 0.2 s names its offset rightly about every second time, so nothing here works on windows' answers. Their
curves are pooled over short stretches (`evidence.pool`), turned into log-likelihoods, and explained by three models:
one offset, one straight line, and a piecewise constant path. The model with the best penalised score wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Blocks, Evidence, best_line, best_path, evidence, independent_offsets
from syncnet.refine_offset import Refined, refine
from syncnet.step_path import boundaries, cut_before, without_small_steps

Kind = Literal["in sync", "constant", "drift", "steps", "intermittent", "undecided"]

IN_SYNC_MS = 20.0
"""Half a frame at 25 fps: below this nobody gains from a repair."""
NOTICEABLE_MS = 40.0
"""One frame at 25 fps: a stretch further off than this counts as out of sync."""
SMALLEST_DRIFT_MS = 30.0
STEEPEST = 0.05
"""Steepest drift looked for, in seconds per second: 25 against 24 fps is 0.042."""
ENOUGH_NATS = 6.0
"""Log-likelihood above chance that an answer must reach."""
_STEP_NATS = 8.0
_LONGEST_SILENCE_S = 3.0


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


def fit(
    blocks: Blocks, offsets_s: NDArray[np.floating], *, start_s: float, end_s: float, cuts_s: Sequence[float] = ()
) -> Timeline:
    """Explain pooled curves by one of the kinds of timeline.

    `blocks` of every track of the file (`evidence.pool`, `evidence.join`), `offsets_s` (M,) the candidate offsets in
    seconds, evenly spaced; `start_s`..`end_s` the span to cover; `cuts_s` the times of shot cuts.
    """
    if blocks.curves.shape[1:] != (len(offsets_s),) or len(offsets_s) < 3:
        raise ValueError(f"{blocks.curves.shape[1:]} columns do not belong to {len(offsets_s)} offsets")
    if not len(blocks.slots):
        return Timeline("undecided", start_s, end_s, reasons=("no window with both a face and sound",))
    cuts = np.array(sorted(t for t in cuts_s if start_s < t < end_s))
    guesses = np.log(independent_offsets(offsets_s))
    stretches = len(np.unique(blocks.slots))
    dear = guesses + np.log(stretches) + _STEP_NATS
    found = evidence(blocks, offsets_s, switch_cost=float(dear))
    cheap = min(dear, guesses + np.log1p(len(cuts)) + _STEP_NATS)
    costs = np.where(cut_before(found.times, cuts, blocks.span_s), cheap, dear)

    total = found.support.sum(axis=0)
    column = int(total.argmax())
    first, last, line_score = best_line(found, offsets_s, STEEPEST)
    path, path_score = best_path(found.support, costs)
    path = without_small_steps(path, found, offsets_s)
    scores = {
        "constant": float(total[column]) - guesses,
        "drift": line_score - 2 * guesses - _STEP_NATS if abs(last - first) * 1e3 >= SMALLEST_DRIFT_MS else -np.inf,
        "steps": path_score - guesses if len(np.unique(path)) > 1 else -np.inf,
    }
    kind = max(scores, key=lambda name: scores[name])
    if scores[kind] < ENOUGH_NATS:
        reached = f"{scores[kind]:.1f} nats above chance, {ENOUGH_NATS:.0f} needed"
        reason = f"the windows do not agree on any offset ({reached})"
        return Timeline("undecided", start_s, end_s, evidence_nats=scores[kind], reasons=(reason,))
    if kind == "steps":
        bounds = boundaries(path, found, cuts)
        bands = list(zip([start_s, *bounds], [*bounds, end_s], strict=True))
        starts = np.flatnonzero(np.diff(path, prepend=path[0] - 1))
        lines = [(float(offsets_s[path[k]]),) * 2 for k in starts]
    else:
        bands = [(start_s, end_s)]
        lines = [(first, last)] if kind == "drift" else [(float(offsets_s[column]),) * 2]
    refined = [refine(blocks, found, offsets_s, band, line) for band, line in zip(bands, lines, strict=True)]
    return _assemble(scores[kind], bands, refined, found, offsets_s, cuts)


def _assemble(
    score: float,
    bands: list[tuple[float, float]],
    refined: list[Refined],
    found: Evidence,
    offsets_s: NDArray[np.floating],
    cuts: NDArray[np.float64],
) -> Timeline:
    segments = tuple(
        Segment(start, end, r.at(start) * 1e3, r.at(end) * 1e3, r.interval_ms, r.confidence, r.windows)
        for (start, end), r in zip(bands, refined, strict=True)
    )
    rate = refined[0].slope * 60e3 if len(refined) == 1 else 0.0
    bounds = refined[0].rate_interval if len(refined) == 1 else (0.0, 0.0)
    shell = Timeline("undecided", bands[0][0], bands[-1][1], segments, (), rate, bounds, score)
    kind = _kind(shell)
    reasons = []
    edge = float(min(-offsets_s[0], offsets_s[-1])) - 0.025
    if any(abs(ms) >= edge * 1e3 for s in segments for ms in (s.start_ms, s.end_ms)):
        searched = f"±{offsets_s[-1] * 1e3:.0f} ms"
        reasons.append(f"the offset lies at the edge of the range searched ({searched}): search wider")
    if any(s.interval_ms[1] - s.interval_ms[0] > 2 * NOTICEABLE_MS for s in segments):
        reasons.append("the offset is not pinned down: its 95 % interval is wider than two frames")
    inherited = _inherited(shell, found, offsets_s, cuts)
    return replace(shell, kind=kind, inherited=inherited, reasons=tuple(reasons))


def _kind(timeline: Timeline) -> Kind:
    segments = timeline.segments
    if all(abs(ms) <= IN_SYNC_MS for s in segments for ms in (s.start_ms, s.end_ms)):
        return "in sync"
    if len(segments) == 1:
        return "drift" if segments[0].start_ms != segments[0].end_ms else "constant"
    off = [abs(s.offset_ms) > NOTICEABLE_MS for s in segments]
    turns = sum(a != b for a, b in pairwise(off))
    return "intermittent" if turns >= 3 else "steps"


def _inherited(
    timeline: Timeline, found: Evidence, offsets_s: NDArray[np.floating], cuts: NDArray[np.float64]
) -> tuple[Inherited, ...]:
    """Shots, or without cuts long stretches, in which nothing speaks for the offset that they are given."""
    offsets = [timeline.at(float(t)) / 1e3 for t in found.times]
    column = np.rint(np.interp(offsets, offsets_s, np.arange(len(offsets_s)))).astype(np.int64)
    support = found.support[np.arange(len(found.times)), column]
    edges = np.unique([timeline.start_s, *cuts, timeline.end_s])
    if not len(cuts):
        gaps = np.concatenate([[timeline.start_s], found.times, [timeline.end_s]])
        wide = np.flatnonzero(np.diff(gaps) > _LONGEST_SILENCE_S)
        spans = [(float(gaps[k]), float(gaps[k + 1])) for k in wide]
    else:
        spans = [
            (float(a), float(b))
            for a, b in pairwise(edges)
            if support[(found.times >= a) & (found.times < b)].sum() < 1.0
        ]
    return tuple(Inherited(a, b, timeline.at((a + b) / 2)) for a, b in spans)


def in_words(timeline: Timeline) -> str:
    """One plain sentence for a timeline."""
    segments = timeline.segments
    if timeline.kind == "undecided":
        return "no answer: " + "; ".join(timeline.reasons)
    if timeline.kind == "in sync":
        return f"sound and picture are in sync ({_side(timeline.offset_ms or 0.0)})"
    if timeline.kind == "constant":
        return f"audio is {_side(segments[0].offset_ms)}"
    if timeline.kind == "drift":
        return (
            f"audio drifts by {timeline.rate_ms_per_min:+.1f} ms per minute, "
            f"from {_side(segments[0].start_ms)} to {_side(segments[0].end_ms)}"
        )
    parts = [f"{_side(s.offset_ms)} from {clock(s.start_s)} to {clock(s.end_s)}" for s in segments[:8]]
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


def _side(offset_ms: float) -> str:
    if round(offset_ms) == 0:
        return "0 ms off"
    return f"{abs(offset_ms):.0f} ms " + ("late" if offset_ms > 0 else "early")
