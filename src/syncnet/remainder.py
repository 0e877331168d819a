"""What a timeline leaves over: whether, for a minute on end, the evidence speaks for another offset (pure numpy)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Evidence
from syncnet.shot_offsets import ShotEvidence, rolled, shot_evidence, strays
from syncnet.timeline import Timeline, clock

SUSTAINED_S = 60.0
"""For so long something must be left over before it counts: one shot that is off by itself does not."""
LEFT_MS = 45.0
"""More than this is seen; the limit of ATSC IS-191 for late sound."""
MOST_STRAY = 0.25
"""Share of the time with speech that may speak for offsets far from the answer."""
_STEP_S = 15.0
_SPEAKS_NATS = 6.0
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


def reasons_against(
    timeline: Timeline, found: Evidence, offsets_s: NDArray[np.floating], edges: NDArray[np.int64]
) -> tuple[str, ...]:
    """What the evidence says against a timeline that was fitted to it, in words; empty when it says nothing.

    `edges` (S + 1,) are the rows of the evidence at which shots begin (`shot_offsets.shot_edges`).
    """
    straight = along(timeline, found, offsets_s, edges)
    hop_s = float(offsets_s[1] - offsets_s[0])
    remainder = left_over(timeline, straight, hop_s)
    share = stray_share(straight)
    reasons = [] if remainder is None else [remainder.words]
    if share > MOST_STRAY:
        reasons.append(f"in {share:.0%} of the time with speech the sound fits better at offsets far from this answer")
    return tuple(reasons)


def along(
    timeline: Timeline, found: Evidence, offsets_s: NDArray[np.floating], edges: NDArray[np.int64]
) -> ShotEvidence:
    """The evidence of shots for offsets from a timeline: the middle column is the timeline itself."""
    hop = float(offsets_s[1] - offsets_s[0])
    there = np.array([timeline.at(float(t)) / 1e3 for t in found.times])
    moved = np.rint((there - float(offsets_s[0])) / hop).astype(np.int64) - len(offsets_s) // 2
    return shot_evidence(replace(found, support=rolled(found.support, moved)), offsets_s, edges)


def stray_share(straight: ShotEvidence) -> float:
    """Share, in time, of the shots that speak for offsets far from the middle column, 0 to 1."""
    speaking = straight.own.max(axis=1) >= _SPEAKS_NATS
    middle = np.full(len(straight.times), straight.support.shape[1] // 2)
    rows = np.diff(straight.edges)
    far = speaking & strays(straight, middle)
    return float(rows[far].sum() / max(1, rows[speaking].sum()))


def left_over(timeline: Timeline, straight: ShotEvidence, hop_s: float) -> Remainder | None:
    """The stretch of a minute that is furthest off its timeline, None when none is by more than `LEFT_MS`.

    `straight` as from `along`, its columns `hop_s` apart. Shots may be off by a little of their own; it counts what
    they agree on, if they speak for it more than for the timeline by more than chance.
    """
    middle = straight.support.shape[1] // 2
    worst: Remainder | None = None
    for start, end in _stretches(timeline.start_s, timeline.end_s):
        total = straight.support[(straight.times >= start) & (straight.times < end)].sum(axis=0)
        best = int(total.argmax())
        left = (best - middle) * hop_s * 1e3
        sure = total[best] - total[middle] >= _SURE_NATS
        if sure and abs(left) > LEFT_MS and (worst is None or abs(left) > abs(worst.left_ms)):
            worst = Remainder(start, end, left)
    return worst


def _stretches(start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Stretches of a minute, a quarter of a minute apart; the whole where there is less."""
    count = max(1, int(np.ceil((end_s - start_s - SUSTAINED_S) / _STEP_S)) + 1)
    starts = [min(start_s + k * _STEP_S, max(start_s, end_s - SUSTAINED_S)) for k in range(count)]
    return [(start, min(start + SUSTAINED_S, end_s)) for start in starts]
