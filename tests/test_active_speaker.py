"""The decision who speaks, on evidence made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_speakers import OFFSETS, curves, flags
from syncnet.active_speaker import (
    SILENT,
    SPEAKING,
    UNSURE,
    decide,
    depths,
    log_odds,
    on_grid,
    scale,
    states,
    window_level,
    windowed_mean,
)
from syncnet.curves import Curves
from syncnet.errors import InputError
from syncnet.speaker_model import SpeakerModel

MODEL = SpeakerModel()
T = 200


def odds_of(*lines: np.ndarray) -> np.ndarray:
    """Log odds of faces that speak where their line says so, weakly for every single frame."""
    return np.stack([np.where(line, 0.4, -0.4) for line in lines], axis=1)


def test_scale_and_levels_by_hand() -> None:
    distance = np.array([[10.0, 12, 14], [np.nan, np.nan, np.nan], [9, 9, np.nan]], np.float32)
    made = Curves(np.array([0.1, 0.14, 0.18]), np.array([-0.01, 0.0, 0.01]), distance)
    np.testing.assert_allclose(window_level(made), [12.0, np.nan, 9.0])
    unit = scale([made, made])
    assert unit.level == pytest.approx((10 + 12 + 14 + 9 + 9) / 5)
    assert unit.spread == pytest.approx(np.sqrt(8 / 5))
    assert scale([]).spread == 1.0


def test_depth_is_read_at_the_offset_in_units_of_the_spread() -> None:
    distance = np.full((2, len(OFFSETS)), 14.0, np.float32)
    distance[0, 120:125] = 10.0  # at 0.2 ... 0.24 s
    distance[1] = np.nan
    made = Curves(np.array([0.1, 0.14]), OFFSETS, distance)
    unit = scale([made])
    at = depths(made, 0.22, unit, MODEL)
    level = float(distance[0].mean())
    assert at[0] == pytest.approx((level - 10.0) / unit.spread, rel=1e-5)
    assert np.isnan(at[1])
    assert depths(made, 0.0, unit, MODEL)[0] < 0.1
    with pytest.raises(InputError, match="outside the range"):
        depths(made, 1.2, unit, MODEL)


def test_windows_are_placed_on_the_frame_in_their_middle() -> None:
    times = 5.0 + np.arange(6) / 25 + 0.1  # six windows of a track of ten frames that starts at 5 s
    placed = on_grid(times, np.arange(6.0), 5.0, 10)
    np.testing.assert_array_equal(placed[2:8], np.arange(6.0))
    np.testing.assert_array_equal(placed[[0, 1, 8, 9]], [0, 0, 5, 5])
    far = on_grid(times, np.arange(6.0), 4.0, 20)
    assert np.isnan(far[:22]).all()


def test_unknown_evidence_speaks_neither_way_and_none_counts_too_much() -> None:
    odds = log_odds(np.array([np.nan, MODEL.middle, 100.0, -100.0]), MODEL)
    np.testing.assert_allclose(odds, [0.0, 0.0, MODEL.most, -MODEL.most])


def test_voices_in_turn_are_given_to_the_face_that_follows() -> None:
    first, second = flags(T, (0, 4)), flags(T, (4, 8))
    decision = decide(odds_of(first, second), np.ones((T, 2), bool), np.ones(T, bool), 50, MODEL)
    named = decision.speaking.argmax(axis=1)
    assert (named[:98] == 0).all() and (named[102:] == 1).all()
    assert decision.offscreen.max() < 0.2


def test_a_voice_that_no_face_fits_is_off_screen() -> None:
    nobody = np.zeros(T, bool)
    decision = decide(odds_of(nobody, nobody), np.ones((T, 2), bool), np.ones(T, bool), 50, MODEL)
    assert decision.offscreen[10:-10].min() > 0.9


def test_two_may_speak_at_once() -> None:
    both = np.ones(T, bool)
    odds = np.full((T, 2), 1.2)
    decision = decide(odds, np.ones((T, 2), bool), both, 50, MODEL)
    assert decision.speaking[100].min() > 0.9


def test_an_absent_face_never_speaks() -> None:
    present = np.ones((T, 2), bool)
    present[:100, 1] = False
    decision = decide(odds_of(np.zeros(T, bool), np.ones(T, bool)), present, np.ones(T, bool), 50, MODEL)
    assert np.isnan(decision.speaking[:100, 1]).all()
    assert decision.offscreen[20:90].min() > 0.8
    assert decision.speaking[110:, 1].min() > 0.8


def test_only_frames_within_the_window_count() -> None:
    line = flags(T, (0, 4))
    odds = odds_of(line, ~line)
    changed = odds.copy()
    changed[100 + 13 :] = odds[0]  # everything from 13 frames after frame 100 on says the opposite
    present, voice = np.ones((T, 2), bool), np.ones(T, bool)
    near, other = (decide(o, present, voice, 25, MODEL).speaking[100] for o in (odds, changed))
    np.testing.assert_allclose(near, other)
    far = decide(changed, present, voice, 100, MODEL).speaking[100]
    assert not np.allclose(far, near)


def test_a_window_under_one_frame_is_refused() -> None:
    with pytest.raises(InputError, match="at least one frame"):
        decide(np.zeros((3, 1)), np.ones((3, 1), bool), np.ones(3, bool), 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 60), st.integers(0, 2**31))
def test_probabilities_are_probabilities(frames: int, faces: int, window: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = rng.random((frames, faces)) < 0.7
    odds = rng.normal(0, 1, (frames, faces))
    decision = decide(odds, present, rng.random(frames) < 0.7, window)
    assert np.isnan(decision.speaking[~present]).all()
    known = decision.speaking[present]
    assert ((known >= 0) & (known <= 1 + 1e-9)).all()
    assert ((decision.offscreen >= 0) & (decision.offscreen <= 1 + 1e-9)).all()
    if faces > SpeakerModel().most_together:
        return  # which pairs are considered depends on the order where faces are equally likely
    order = rng.permutation(faces)
    mixed = decide(odds[:, order], present[:, order], np.ones(frames, bool), window)
    same = decide(odds, present, np.ones(frames, bool), window)
    np.testing.assert_allclose(mixed.speaking, same.speaking[:, order], atol=1e-9)


def test_states_by_hand() -> None:
    speaking, voice = np.array([0.9, 0.5, 0.1, 0.9]), np.array([True, True, True, False])
    np.testing.assert_array_equal(states(speaking, voice, 0.7), [SPEAKING, UNSURE, SILENT, SILENT])


def test_windowed_mean_by_hand() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_allclose(windowed_mean(values, 1), [1.0, np.nan, 3.0, 5.0])
    np.testing.assert_allclose(windowed_mean(values, 3), [1.0, 2.0, 4.0, 4.0])
    assert np.isnan(windowed_mean(np.full(3, np.nan), 2)).all()


def test_made_curves_are_what_they_promise() -> None:
    line = flags(T, (0, 4))
    made = curves(line, 3, offset_s=0.2)
    deep = depths(made, 0.2, scale([made]), MODEL)
    assert deep[:90].mean() > deep[110:].mean() + 1.0
