"""Verdicts by norm, in our sign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncnet.errors import InputError
from syncnet.timeline import Segment, Timeline
from syncnet.verdict import NORMS, judge, judge_timeline, norm, tolerance


@pytest.mark.parametrize(
    ("name", "offset", "state"),
    [
        ("ebu-r37", 0, "pass"),
        ("ebu-r37", -40, "pass"),
        ("ebu-r37", -41, "fail"),
        ("ebu-r37", 59, "pass"),
        ("ebu-r37", 61, "fail"),
        ("atsc-is191", -16, "fail"),
        ("atsc-is191", 44, "pass"),
        ("film", -42, "pass"),
        ("film", 84, "fail"),
        ("itu-r-bt1359", -44, "pass"),
        ("itu-r-bt1359", -46, "warn"),
        ("itu-r-bt1359", -91, "fail"),
        ("itu-r-bt1359", 124, "pass"),
        ("itu-r-bt1359", 126, "warn"),
        ("itu-r-bt1359", 186, "fail"),
    ],
)
def test_norms(name: str, offset: float, state: str) -> None:
    verdict = judge(norm(name), offset)
    assert verdict.state == state
    assert verdict.exit_code == (1 if state == "fail" else 0)
    assert ("early" if offset < 0 else "late" if offset > 0 else "0 ms off") in verdict.words


def test_an_unsure_answer_never_fails_or_passes() -> None:
    limits = norm("ebu-r37")
    assert judge(limits, 20, (0, 90)).state == "warn"
    assert judge(limits, 20, trusted=False, reasons=["too short"]).state == "warn"
    assert judge(limits, 200, trusted=False, reasons=["too short"]).state == "none"
    nothing = judge(limits, None, reasons=["no face was found"])
    assert (nothing.state, nothing.exit_code) == ("none", 3)
    assert "no face was found" in nothing.words


def test_over_time_the_worst_stretch_counts() -> None:
    bands = ((0.0, 10.0, 5.0), (10.0, 20.0, 150.0), (20.0, 30.0, -20.0))
    steps = Timeline("steps", 0, 30, tuple(Segment(a, b, ms, ms, (ms - 5, ms + 5), 5.0, 50) for a, b, ms in bands))
    verdict = judge_timeline(norm("ebu-r37"), steps)
    assert (verdict.state, verdict.worst_ms) == ("fail", 150.0)
    assert "0:10.0" in verdict.words
    drift = Timeline("drift", 0, 600, (Segment(0, 600, 0, 80, (36, 46), 5.0, 900),), rate_ms_per_min=8)
    assert judge_timeline(norm("ebu-r37"), drift).worst_ms == 80
    assert judge_timeline(norm("film"), drift).state == "warn"  # within, but the interval at its end is not
    assert judge_timeline(norm("film"), Timeline("undecided", 0, 9, reasons=("no face",))).state == "none"


def test_own_tolerance() -> None:
    assert tolerance("40,60").range_ms == (-40, 60)
    for wrong in ("40", "a,b", "40,60,80", "-40,60", "nan,3", ""):
        with pytest.raises(InputError, match="LEAD,LAG"):
            tolerance(wrong)
    with pytest.raises(InputError, match="ebu-r37"):
        norm("ebu")


@given(st.sampled_from(sorted(NORMS)), st.floats(-500, 500), st.floats(0, 100))
def test_further_out_is_never_better(name: str, offset: float, more: float) -> None:
    rank = {"pass": 0, "warn": 1, "fail": 2}
    further = offset + (more if offset >= 0 else -more)
    assert rank[judge(norm(name), further).state] >= rank[judge(norm(name), offset).state]
