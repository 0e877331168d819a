"""Timelines: what they say of a time, and in words."""

import pytest

from syncnet.timeline import clock, constant


def test_a_given_constant() -> None:
    given_ = constant(-80.0, 0.0, 10.0)
    assert given_.at(3.0) == -80.0
    assert given_.mean_error_ms == pytest.approx(80.0)


@pytest.mark.parametrize(("time", "text"), [(0, "0:00.0"), (61.26, "1:01.3"), (3723.4, "1:02:03.4"), (59.97, "1:00.0")])
def test_clock(time: float, text: str) -> None:
    assert clock(time) == text
