"""The answer over time set beside the answer of all windows together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from syncnet.curves import Curves, join
from syncnet.offset import ClipOffset, clip_offset
from syncnet.over_time import explained, reconciled
from syncnet.timeline import Segment, Timeline

OFFSETS = np.arange(-100, 101) / 100


def curves(start: float, end: float, offset_ms: float, *, depth: float = 4.0, seed: int = 0) -> Curves:
    """Windows over a stretch of time whose distance is least at one offset."""
    times = np.arange(round(start * 25), round(end * 25)) / 25 + 0.1
    noise = np.random.default_rng(seed).standard_normal((len(times), len(OFFSETS)))
    valley = depth * np.exp(-(((OFFSETS - offset_ms / 1e3) / 0.06) ** 2))
    return Curves(times, OFFSETS, (14 - valley[None] + noise).astype(np.float32))


def answer(tracks: list[Curves], reasons: tuple[str, ...] = (), cuts: tuple[float, ...] = ()) -> Timeline:
    whole = clip_offset(join(tracks))
    end = float(tracks[-1].times[-1])
    return explained(tracks, whole, reasons, span=(0.0, end), cuts_s=cuts)


def test_one_offset_is_that_of_all_windows_together() -> None:
    tracks = [curves(0, 6, 130), curves(6, 9, 130, seed=1)]
    whole = clip_offset(join(tracks))
    found = answer(tracks)
    assert found.kind == "constant" and found.trusted
    assert found.offset_ms == whole.offset_ms == pytest.approx(130, abs=4)
    assert found.segments[0].interval_ms == whole.interval_ms
    assert answer([curves(0, 6, 8)]).kind == "in sync"


def test_what_speaks_against_the_answer_is_handed_on() -> None:
    found = answer([curves(0, 6, 130)], reasons=("the confidence is low",))
    assert found.kind == "constant" and not found.trusted
    assert "the confidence is low" in found.reasons


def test_steps_stand_although_the_windows_do_not_agree_on_one_offset() -> None:
    found = answer([curves(0, 30, 150), curves(30, 60, -90, seed=1)], ("the windows disagree",), cuts=(30.0,))
    assert [round(s.offset_ms, -1) for s in found.segments] == [150, -90]
    assert found.segments[1].start_s == pytest.approx(30, abs=0.3)
    assert found.kind == "steps" and found.trusted


def test_a_drift_is_found() -> None:
    parts = [curves(k, k + 2, 20 + k * 2, seed=k) for k in range(0, 120, 2)]
    found = answer(parts)
    assert found.kind == "drift"
    assert found.rate_ms_per_min == pytest.approx(120, rel=0.05)


def test_nothing_to_go_by() -> None:
    nothing = explained([], None, ("no face was found",), span=(0.0, 9.0))
    assert nothing.kind == "undecided" and nothing.reasons == ("no face was found",)
    flat = [curves(0, 6, 0, depth=0.0)]
    found = answer(flat, reasons=("the confidence is low",))
    assert found.kind == "undecided" or not found.trusted


def whole_at(offset_ms: float) -> ClipOffset:
    return replace(clip_offset(curves(0, 6, 130)), offset_ms=offset_ms)


def test_two_readings_that_disagree_are_not_trusted() -> None:
    segment = Segment(0.0, 6.0, 130.0, 130.0, (125.0, 135.0), 4.0, 100)
    found = Timeline("constant", 0.0, 6.0, (segment,))
    assert reconciled(found, whole_at(120.0), ()).trusted
    doubtful = reconciled(found, whole_at(-400.0), ())
    assert not doubtful.trusted and "400 ms early and 130 ms late" in doubtful.reasons[-1]


def test_a_short_clip_keeps_an_answer_that_can_be_trusted() -> None:
    unsure = Timeline("undecided", 0.0, 3.0, reasons=("the windows do not agree on any offset",))
    found = reconciled(unsure, whole_at(200.0), ())
    assert found.kind == "constant" and found.offset_ms == 200.0 and found.trusted
    assert reconciled(unsure, whole_at(200.0), ("too short",)).kind == "undecided"


def test_long_tracks_are_pooled_in_parts() -> None:
    found = answer([curves(0, 400, -60)])
    assert found.kind == "constant" and found.offset_ms == pytest.approx(-60, abs=4)
