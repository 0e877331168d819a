"""What a timeline leaves over, minute by minute."""

from __future__ import annotations

import numpy as np

from syncnet.evidence import Evidence
from syncnet.remainder import along, left_over, reasons_against
from syncnet.shot_offsets import shot_edges
from syncnet.timeline import constant

OFFSETS = np.arange(-100, 101) / 100
CUTS = np.arange(8.0, 240.0, 8.0)


def evidence_of(seconds: float, late: dict[tuple[float, float], float]) -> Evidence:
    """Evidence for 50 ms late, or in some stretches of time for something else."""
    times = np.arange(0.2, seconds, 0.4)
    truth = np.full(len(times), 0.05)
    for (start, end), offset in late.items():
        truth[(times >= start) & (times < end)] = offset
    support = 3 * np.exp(-0.5 * ((OFFSETS[None] - truth[:, None]) / 0.04) ** 2) - 1
    return Evidence(times, support.astype(np.float32), np.arange(len(times)), support.astype(np.float32), 1.0, 0.5)


def against(late: dict[tuple[float, float], float], seconds: float = 240.0) -> tuple[str, ...]:
    found = evidence_of(seconds, late)
    return reasons_against(constant(50.0, 0.0, seconds), found, OFFSETS, shot_edges(found.times, CUTS, 0.4))


def test_nothing_is_left_where_the_timeline_is_right() -> None:
    assert against({}) == ()
    assert against({}, seconds=20.0) == ()


def test_one_shot_that_is_off_by_itself_does_not_count() -> None:
    assert against({(80.0, 88.0): 0.25, (160.0, 168.0): -0.1}) == ()


def test_a_minute_that_is_off_does() -> None:
    found = evidence_of(240.0, {(120.0, 184.0): 0.25})
    answer = constant(50.0, 0.0, 240.0)
    remainder = left_over(answer, along(answer, found, OFFSETS, shot_edges(found.times, CUTS, 0.4)), 0.01)
    assert remainder is not None
    assert abs(remainder.left_ms - 200) <= 10
    assert abs(remainder.start_s - 120) <= 15
    assert "200 ms later than this says" in remainder.words


def test_every_second_shot_elsewhere_is_not_one_offset() -> None:
    reasons = against({(start, start + 8.0): 0.4 for start in CUTS[::2]})
    assert any("50% of the time" in reason or "far from this answer" in reason for reason in reasons)
