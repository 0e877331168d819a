"""Means of windows, the mean curve and its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.combine import bootstrap_interval, dropped_mean, mean_curve, weighted_mean
from syncnet.curves import Curves, minima, window_offsets
from syncnet.errors import InputError, NoAnswer

OFFSETS = np.asarray(np.arange(-100, 101) / 100)

# The worked example of the method: ten windows, the third of them unsure.
TEN_OFFSETS = [-290, -315, 0, -305, -300, -320, -335, -310, -325, -295]
TEN_CONFIDENCES = [8.5, 9.2, 0.8, 7.9, 9.7, 8.8, 10.1, 9.4, 8.6, 9.0]


def dips(
    centres_ms: NDArray[np.float64], noise: float = 0.0, seed: int = 0, spread: NDArray[np.float64] | None = None
) -> Curves:
    """Curves of windows 40 ms apart with a dip at the given offsets and noise that neighbours share."""
    rng = np.random.default_rng(seed)
    n = len(centres_ms)
    depth = np.full(n, 6.0) if spread is None else spread
    dip = np.exp(-(((OFFSETS * 1000 - centres_ms[:, None]) / 60) ** 2) / 2) * depth[:, None]
    rough = rng.normal(size=(n + 5, len(OFFSETS) + 11)).cumsum(axis=0).cumsum(axis=1)
    runs = rough[5:] - rough[:-5]
    smooth = (runs[:, 11:] - runs[:, :-11]) / np.sqrt(55)
    return Curves(np.asarray(np.arange(n) * 0.04 + 0.1), OFFSETS, (13 - dip + noise * smooth).astype(np.float32))


def test_worked_example_to_the_digit() -> None:
    assert dropped_mean(TEN_OFFSETS, TEN_CONFIDENCES, least=2.0) == pytest.approx(-2795 / 9, abs=1e-9)
    assert weighted_mean(TEN_OFFSETS, TEN_CONFIDENCES) == pytest.approx(-25246 / 82, abs=1e-9)
    assert weighted_mean(TEN_OFFSETS, np.ones(10)) == pytest.approx(-279.5, abs=1e-9)
    assert f"{dropped_mean(TEN_OFFSETS, TEN_CONFIDENCES, least=2.0):.1f}" == "-310.6"
    assert f"{weighted_mean(TEN_OFFSETS, TEN_CONFIDENCES):.1f}" == "-307.9"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1000, 1000), st.floats(0.1, 15)), min_size=1, max_size=20), st.floats(-500, 500))
def test_means_move_with_the_offsets_and_lie_among_them(windows: list[tuple[float, float]], by: float) -> None:
    offsets, confidences = np.array(windows).T
    for mean in (weighted_mean, lambda o, c: dropped_mean(o, c, least=float(np.median(confidences)))):
        here = mean(offsets, confidences)
        assert offsets.min() - 1e-6 <= here <= offsets.max() + 1e-6
        assert mean(offsets + by, confidences) == pytest.approx(here + by, abs=1e-6)


def test_windows_without_sound_do_not_take_part() -> None:
    nan = float("nan")
    assert weighted_mean([10.0, nan, 20.0], [1.0, nan, 3.0]) == 17.5
    assert dropped_mean([10.0, nan, 20.0], [1.0, nan, 3.0], least=2.0) == 20.0


def test_no_sure_window_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        dropped_mean([10.0], [1.0], least=2.0)
    with pytest.raises(NoAnswer):
        weighted_mean([10.0, 20.0], [0.0, 0.0])
    with pytest.raises(NoAnswer):
        weighted_mean([], [])
    with pytest.raises(InputError):
        weighted_mean([1.0, 2.0], [1.0])


def test_mean_curve_is_the_mean_where_all_is_known() -> None:
    curves = dips(np.zeros(30), noise=1.0)
    np.testing.assert_allclose(mean_curve(curves), curves.distance.mean(axis=0), rtol=1e-5)
    weights = np.random.default_rng(0).random(30)
    np.testing.assert_allclose(
        mean_curve(curves, weights), np.average(curves.distance, axis=0, weights=weights), rtol=1e-5
    )


def test_mean_curve_does_not_mind_which_windows_are_missing() -> None:
    """Windows of low level that have no sound at the dip would leave a plain mean with a false one elsewhere."""
    curves = dips(np.full(40, 300.0))
    distance = curves.distance.copy()
    distance[:20] -= 12.5
    distance[:20, 110:] = np.nan
    partial = Curves(curves.times, curves.offsets_s, distance)
    assert OFFSETS[np.nanmean(distance, axis=0).argmin()] < 0.2
    assert OFFSETS[np.nanargmin(mean_curve(partial))] == 0.3


def test_mean_curve_is_unknown_where_too_few_windows_have_sound() -> None:
    curves = dips(np.zeros(40))
    distance = curves.distance.copy()
    distance[9:, 150:] = np.nan
    distance[11:, :50] = np.nan
    curve = mean_curve(Curves(curves.times, curves.offsets_s, distance))
    assert np.isnan(curve[150:]).all()
    assert np.isfinite(curve[:150]).all()


def test_mean_curve_of_nothing_is_unknown() -> None:
    silent = Curves(np.arange(3.0), OFFSETS, np.full((3, 201), np.nan, np.float32))
    assert np.isnan(mean_curve(silent)).all()
    assert np.isnan(mean_curve(dips(np.zeros(3)), np.zeros(3))).all()
    assert bootstrap_interval(silent, np.ones(3)) is None


def test_interval_is_the_same_for_the_same_seed_and_only_then() -> None:
    curves = dips(np.random.default_rng(1).normal(0, 60, 100), noise=1.5)
    weights = window_offsets(curves).confidence
    assert bootstrap_interval(curves, weights, seed=3) == bootstrap_interval(curves, weights, seed=3)
    assert bootstrap_interval(curves, weights, seed=3) != bootstrap_interval(curves, weights, seed=4)


def test_interval_narrows_with_more_windows() -> None:
    widths = []
    for n in (60, 1500):
        curves = dips(np.random.default_rng(1).normal(0, 60, n), noise=0.3)
        interval = bootstrap_interval(curves, np.ones(n))
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2


def test_interval_of_certain_windows_has_no_width_and_of_few_windows_is_unknown() -> None:
    interval = bootstrap_interval(dips(np.full(50, 120.0)), np.ones(50))
    assert interval is not None
    np.testing.assert_allclose(interval, 120.0, atol=1e-2)
    assert bootstrap_interval(dips(np.full(30, 120.0)), np.ones(30)) is None


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        # Each run of ten windows errs together, as a bootstrap over single windows would not see.
        centres = np.repeat(rng.normal(80, 40, 20), 10)
        low, high = bootstrap_interval(dips(centres, noise=1.0, seed=seed), np.ones(200), rounds=200) or (0, 0)
        held.append(low <= 80 <= high)
    assert 0.85 <= np.mean(held) <= 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_gaps_and_order_of_windows_do_not_move_the_mean_curve(gap: int, seed: int) -> None:
    curves = dips(np.full(40, -250.0), noise=0.5, seed=seed)
    order = np.random.default_rng(seed).permutation(40)
    shuffled = Curves(curves.times[order] + gap * (order > 20), curves.offsets_s, curves.distance[order])
    np.testing.assert_allclose(mean_curve(shuffled), mean_curve(curves), atol=1e-9)
    assert abs(minima(mean_curve(curves)[None], OFFSETS)[0][0] + 250.0) < 20.0
