"""The offset of a scene of which only some faces follow the sound."""

import numpy as np
import pytest

from made_speakers import curves, flags
from syncnet.active_speaker import scale
from syncnet.scene_offset import SceneOffset, scene_offset

T = 250


def found(*tracks: tuple[np.ndarray, float], shots: list[int] | None = None) -> SceneOffset:
    made = [curves(line, n + 5, offset_s=offset) for n, (line, offset) in enumerate(tracks)]
    return scene_offset(made, shots or [0] * len(made), scale(made).spread)


@pytest.mark.parametrize("offset", [-0.2, 0.0, 0.33])
def test_voices_in_turn_tell_one_offset(offset: float) -> None:
    result = found((flags(T, (0, 5)), offset), (flags(T, (5, 10)), offset))
    assert result.found
    assert result.offset_s == pytest.approx(offset, abs=0.02)


def test_faces_that_follow_nothing_tell_none() -> None:
    result = found((flags(T), 0.0), (flags(T), 0.0))
    assert not result.found
    assert result.offset_s == 0.0


def test_of_two_that_say_the_same_the_one_nearer_to_zero_counts() -> None:
    always = np.ones(T, bool)
    assert found((always, -0.7), (always, 0.0)).offset_s == pytest.approx(0.0, abs=0.02)
    assert found((always, 0.08), (always, 0.7)).offset_s == pytest.approx(0.08, abs=0.02)


def test_shots_are_put_together() -> None:
    result = found((flags(T, (0, 6)), 0.1), (flags(T, (3, 10)), 0.1), shots=[0, 1])
    assert result.found and result.offset_s == pytest.approx(0.1, abs=0.02)


def test_no_tracks_no_offset() -> None:
    assert scene_offset([], [], 1.0).found is False
