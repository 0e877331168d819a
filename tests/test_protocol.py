"""The published protocol on curves whose answers are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.curves import Curves
from syncnet.errors import InputError
from syncnet.protocol import accuracy, frame_errors

OFFSETS = np.asarray(np.arange(-100, 101) / 100)


def times(n: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(n) * 0.04)


def curves_with(centres_ms: list[float]) -> Curves:
    centres = np.asarray(centres_ms, dtype=np.float64)
    distance = np.abs(OFFSETS * 1000 - centres[:, None]) / 100
    return Curves(times(len(centres)), OFFSETS, distance.astype(np.float32))


def test_errors_are_whole_frames_from_the_truth() -> None:
    assert frame_errors(curves_with([0, 40, -80, 570, 590, 1000])).tolist() == [0, 1, -2, 14, 15, 15]
    assert frame_errors(curves_with([120, 160, 40]), truth_ms=120).tolist() == [0, 1, -2]
    assert accuracy(curves_with([0, 40, -40, 80, 600])) == pytest.approx(3 / 5)


@settings(max_examples=50, deadline=None)
@given(st.integers(-400, 400), st.lists(st.integers(-14, 14), min_size=1, max_size=20))
def test_a_known_shift_changes_nothing(truth_ms: int, frames: list[int]) -> None:
    shifted = curves_with([truth_ms + 40.0 * k for k in frames])
    assert frame_errors(shifted, truth_ms=float(truth_ms)).tolist() == frames


def test_context_averages_the_neighbours_there_are() -> None:
    """By hand: three rows, of which each end has one neighbour; K = 7 takes a row and one on either side."""
    distance = np.full((3, 201), 9.0, np.float32)
    zero, two = 100, 108  # offsets 0 and +2 frames
    distance[:, zero] = [1.0, 6.0, 1.0]
    distance[:, two] = [4.0, 2.0, 4.0]
    curves = Curves(times(3), OFFSETS, distance)
    assert frame_errors(curves, 5).tolist() == [0, 2, 0]
    # means at 0: 3.5, 8/3, 3.5; at +2: 3, 10/3, 3
    assert frame_errors(curves, 7).tolist() == [2, 0, 2]
    assert frame_errors(curves, 100).tolist() == [0, 0, 0]


def test_even_contexts_and_contexts_longer_than_the_clip() -> None:
    curves = curves_with([0.0] * 7 + [400.0])
    assert frame_errors(curves, 5).tolist() == [0] * 7 + [10]
    assert frame_errors(curves, 6).tolist()[:7] == [0] * 7
    assert frame_errors(curves, 50).tolist() == [0] * 8


def test_candidates_without_sound_are_out() -> None:
    curves = curves_with([200.0, 200.0, 0.0])
    distance = curves.distance.copy()
    distance[0, 101:] = np.nan  # only offsets up to 0 are left
    distance[2, :] = np.nan
    cut = Curves(curves.times, curves.offsets_s, distance)
    assert frame_errors(cut).tolist() == [0, 5]  # the third has no sound at the truth


def test_published_mask_bars_offsets_where_any_neighbour_lacks_sound() -> None:
    curves = curves_with([200.0] * 5)
    distance = curves.distance.copy()
    distance[4, 101:] = np.nan
    cut = Curves(curves.times, curves.offsets_s, distance)
    assert frame_errors(cut, 9).tolist() == [5] * 5
    assert frame_errors(cut, 9, published_mask=True).tolist() == [5, 5, 0, 0, 0]


def test_no_sound_is_no_figure() -> None:
    silent = Curves(np.arange(3.0), OFFSETS, np.full((3, 201), np.nan, np.float32))
    assert frame_errors(silent).tolist() == []
    assert np.isnan(accuracy(silent))


def test_noise_scores_as_chance() -> None:
    rng = np.random.default_rng(0)
    noise = Curves(times(6000), OFFSETS, rng.random((6000, 201)).astype(np.float32))
    assert accuracy(noise) == pytest.approx(3 / 31, abs=0.015)


def test_wrong_use_is_named() -> None:
    with pytest.raises(InputError, match="wider"):
        frame_errors(curves_with([0.0]), truth_ms=500.0)
    with pytest.raises(InputError, match="context"):
        frame_errors(curves_with([0.0]), context_frames=4)
