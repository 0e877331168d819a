"""The offset of a scene of which only some faces follow the sound."""

import numpy as np
import pytest

from made_speakers import curves, flags
from syncnet.active_speaker import scale
from syncnet.scene_offset import SceneOffset, face_offset, scene_offset

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


def test_a_face_has_its_own_offset_near_the_films() -> None:
    made = curves(flags(T, (2, 6)), 3, offset_s=0.15)
    unit = scale([made]).spread
    assert face_offset(made, 0.1, unit, reach_s=0.08, telling=1.0) == pytest.approx(0.15, abs=0.025)
    assert face_offset(made, 0.0, unit, reach_s=0.04, telling=1.0) <= 0.045  # never farther from the film's than that
    assert face_offset(made, 0.1, unit, reach_s=0.08, telling=50.0) == 0.1  # no moment tells
    nothing = curves(flags(T), 4)
    assert face_offset(nothing, -0.3, scale([nothing]).spread, reach_s=0.08, telling=1.5) == -0.3
    assert face_offset(made, 3.0, unit, reach_s=0.08, telling=1.0) == 3.0  # outside the curves


def test_a_face_that_follows_a_distant_sound_gets_no_offset_of_its_own() -> None:
    made = curves(np.ones(T, bool), 3, offset_s=0.6)
    assert face_offset(made, 0.0, scale([made]).spread, reach_s=0.08, telling=1.0) == 0.0
