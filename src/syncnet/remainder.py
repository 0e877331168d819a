"""What a timeline leaves over: whether, for a minute on end, the evidence speaks for another offset (pure numpy)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Evidence
from syncnet.shot_offsets import rolled, shot_evidence
from syncnet.timeline import Timeline, clock

SUSTAINED_S = 60.0
"""For so long something must be left over before it counts: one shot that is off by itself does not."""
LEFT_MS = 45.0
"""More than this is seen; the limit of ATSC IS-191 for late sound."""
_STEP_S = 15.0
_SURE_NATS = 6.0


@dataclass(frozen=True)
class Remainder:
    """A stretch of time in s in which the sound is off by `left_ms` more than a timeline says."""

    start_s: float
    end_s: float
    left_ms: float

    @property
    def words(self) -> str:
        """The remainder as a reason against the timeline."""
        side = "later" if self.left_ms > 0 else "earlier"
        return (
            f"from {clock(self.start_s)} to {clock(self.end_s)} the sound is about {abs(self.left_ms):.0f} ms {side} "
            "than this says"
        )


def left_over(
    timeline: Timeline, found: Evidence, offsets_s: NDArray[np.floating], edges: NDArray[np.int64]
) -> Remainder | None:
    """The stretch of a minute that is furthest off its timeline, None when none is by more than `LEFT_MS`.

    `edges` (S + 1,) are the rows of the evidence at which shots begin (`shot_offsets.shot_edges`). Shots may be off by
    a little of their own; it counts what they agree on, if they do so by more than chance.
    """
    hop = float(offsets_s[1] - offsets_s[0])
    middle = len(offsets_s) // 2
    there = np.array([timeline.at(float(t)) / 1e3 for t in found.times])
    moved = np.rint((there - float(offsets_s[0])) / hop).astype(np.int64) - middle
    straight = Evidence(found.times, rolled(found.support, moved), found.rows, found.depth, 0.0, 0.0)
    shots = shot_evidence(straight, offsets_s, edges)
    columns = np.arange(len(offsets_s)) - middle
    within = np.abs(columns * hop * 1e3) <= LEFT_MS
    worst: Remainder | None = None
    for start, end in _stretches(timeline.start_s, timeline.end_s):
        total = shots.support[(shots.times >= start) & (shots.times < end)].sum(axis=0)
        best = int(total.argmax())
        left = float(columns[best]) * hop * 1e3
        sure = total[best] - total[within].max() >= _SURE_NATS
        if sure and not within[best] and (worst is None or abs(left) > abs(worst.left_ms)):
            worst = Remainder(start, end, left)
    return worst


def _stretches(start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Stretches of a minute, a quarter of a minute apart; the whole where there is less."""
    count = max(1, int(np.ceil((end_s - start_s - SUSTAINED_S) / _STEP_S)) + 1)
    starts = [min(start_s + k * _STEP_S, max(start_s, end_s - SUSTAINED_S)) for k in range(count)]
    return [(start, min(start + SUSTAINED_S, end_s)) for start in starts]
