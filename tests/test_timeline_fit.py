"""Timelines from synthetic curves whose single windows are right less than half of the time."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from syncnet.evidence import Blocks, best_path, join, pool
from syncnet.timeline import Timeline
from syncnet.timeline_fit import fit

OFFSETS = np.arange(-100, 101) / 100.0
Truth = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def windows(
    duration: float,
    truth: Truth,
    seed: int = 0,
    *,
    silent: float = 0.3,
    depth: tuple[float, float] = (3.0, 6.0),
    offsets: NDArray[np.float64] = OFFSETS,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times (W,) and curves (W, M): distances N(13, 2), alike for neighbours; a dip at the truth while speaking."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.1, duration - 0.1, 0.04)
    noise = gaussian_filter(rng.standard_normal((len(times), len(offsets))), (1.8, 3.5), mode="wrap")
    speaking = rng.random(int(duration / 0.6) + 1) > silent
    dip = rng.uniform(*depth, len(times)) * speaking[(times / 0.6).astype(int)]
    shape = np.exp(-0.5 * ((offsets[None] - truth(times)[:, None]) / 0.04) ** 2)
    curves = 13 + rng.normal(0, 1, (len(times), 1)) + noise * 2 / noise.std() - dip[:, None] * shape
    return times, curves.astype(np.float32)


def fitted(duration: float, truth: Truth, seed: int = 0, cuts: tuple[float, ...] = (), **kwargs: float) -> Timeline:
    times, curves = windows(duration, truth, seed, **kwargs)  # type: ignore[arg-type]
    return fit(pool(times, curves), OFFSETS, start_s=0.0, end_s=duration, cuts_s=cuts)


def level(offset: float) -> Truth:
    return lambda t: np.full(len(t), offset)


def test_the_synthetic_windows_are_as_unsure_as_real_ones() -> None:
    _, curves = windows(120, level(0.12))
    right = np.abs(OFFSETS[curves.argmin(axis=1)] - 0.12) <= 0.0401
    assert 0.3 < right.mean() < 0.5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("offset", [-0.64, -0.08, 0.12, 0.9])
def test_constant_over_a_minute(offset: float, seed: int) -> None:
    found = fitted(60, level(offset), seed)
    assert found.kind == "constant"
    assert found.trusted
    assert found.offset_ms == pytest.approx(offset * 1e3, abs=6)
    low, high = found.segments[0].interval_ms
    assert low - 3 <= offset * 1e3 <= high + 3
    assert high - low < 20
    assert found.segments[0].confidence > 2
    assert f"{abs(found.offset_ms or 0):.0f} ms {'late' if offset > 0 else 'early'}" in found.words


def test_a_clip_of_five_seconds() -> None:
    right = [fitted(5, level(-0.3), seed) for seed in range(10)]
    decided = [t for t in right if t.trusted]
    assert len(decided) >= 7
    assert all(t.offset_ms == pytest.approx(-300, abs=30) for t in decided)


def test_in_sync() -> None:
    found = fitted(60, level(0.008))
    assert found.kind == "in sync"
    assert "in sync" in found.words
    assert found.mean_error_ms is not None
    assert found.mean_error_ms < 20


@pytest.mark.parametrize("duration", [4, 20, 120])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_undecided(duration: float, seed: int) -> None:
    found = fitted(duration, level(0.0), seed, silent=1.0)
    assert found.kind == "undecided"
    assert found.segments == ()
    assert found.offset_ms is None
    assert not found.trusted
    assert found.words.startswith("no answer")


@pytest.mark.parametrize("rate", [20.0, -20.0, 100.0])
@pytest.mark.parametrize("silent", [0.3, 0.7])
def test_drift_over_ten_minutes(rate: float, silent: float) -> None:
    start = -0.45 if rate > 50 else 0.05
    found = fitted(600, lambda t: start + t * rate / 60e3, silent=silent)
    assert found.kind == "drift"
    assert found.rate_ms_per_min == pytest.approx(rate, rel=0.15)
    assert found.rate_interval[0] <= found.rate_ms_per_min <= found.rate_interval[1]
    assert found.segments[0].start_ms == pytest.approx(start * 1e3, abs=15)
    assert found.segments[0].end_ms == pytest.approx(start * 1e3 + rate * 10, abs=15)
    assert "drifts" in found.words


def test_drift_that_leaves_the_range_says_so() -> None:
    found = fitted(600, lambda t: 0.05 + t * 0.1 / 60)
    assert found.kind == "drift"
    assert found.rate_ms_per_min == pytest.approx(100, rel=0.15)
    assert any("search wider" in reason for reason in found.reasons)


BOUNDS = (151.3, 333.2, 480.0)


def steps(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.select([t < BOUNDS[0], t < BOUNDS[1], t < BOUNDS[2]], [0.0, 0.2, -0.12], 0.3)


@pytest.mark.parametrize("seed", range(3))
def test_steps_land_on_cuts(seed: int) -> None:
    found = fitted(600, steps, seed, (60.0, *BOUNDS, 500.0, 550.0))
    assert found.kind == "steps"
    assert [round(s.offset_ms, -1) for s in found.segments] == pytest.approx([0, 200, -120, 300], abs=11)
    assert [s.end_s for s in found.segments[:-1]] == list(BOUNDS)
    assert found.at(200.0) == pytest.approx(200, abs=10)


def test_steps_without_cuts() -> None:
    errors = []
    for seed in range(4):
        found = fitted(600, steps, seed)
        assert found.kind == "steps"
        assert len(found.segments) == 4
        errors += [abs(s.end_s - bound) for s, bound in zip(found.segments, BOUNDS, strict=False)]
    assert np.median(errors) < 0.3
    assert np.mean(np.array(errors) < 0.55) >= 0.75  # one pause of 0.6 s more or less
    assert max(errors) < 1.5


def test_intermittent() -> None:
    found = fitted(300, lambda t: np.where((t // 50) % 2 == 1, 0.25, 0.0))
    assert found.kind == "intermittent"
    assert len(found.segments) == 6
    assert "now and then" in found.words


def test_shots_without_a_speaking_face_inherit() -> None:
    times, curves = windows(60, level(0.12))
    seen = (times < 20) | (times > 34)
    found = fit(pool(times[seen], curves[seen]), OFFSETS, start_s=0.0, end_s=60.0, cuts_s=[20.0, 34.0, 50.0])
    assert found.kind == "constant"
    assert [(i.start_s, i.end_s) for i in found.inherited] == [(20.0, 34.0)]
    assert found.inherited[0].offset_ms == pytest.approx(120, abs=6)


def test_a_silent_second_face_does_not_harm() -> None:
    times, curves = windows(60, level(0.12))
    _, listener = windows(60, level(0.0), 7, silent=1.0)
    found = fit(join([pool(times, curves), pool(times, listener)]), OFFSETS, start_s=0.0, end_s=60.0)
    assert found.kind == "constant"
    assert found.offset_ms == pytest.approx(120, abs=6)


def test_sound_missing_at_the_ends() -> None:
    times, curves = windows(20, level(0.2))
    outside = (times[:, None] + OFFSETS[None] < 0.1) | (times[:, None] + OFFSETS[None] > 19.9)
    curves[outside] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(pool(times, curves), OFFSETS, start_s=0.0, end_s=20.0)
    assert found.offset_ms == pytest.approx(200, abs=15)


def test_ten_seconds_either_way() -> None:
    offsets = np.arange(-1000, 1001) / 100.0
    times, curves = windows(60, level(-7.31), offsets=offsets)
    found = fit(pool(times, curves, span_s=1.0), offsets, start_s=0.0, end_s=60.0)
    assert found.kind == "constant"
    assert found.offset_ms == pytest.approx(-7310, abs=10)


def test_beyond_the_range_is_not_trusted() -> None:
    offsets = np.arange(-40, 41) / 100.0
    times, curves = windows(60, level(0.42), offsets=offsets)
    found = fit(pool(times, curves), offsets, start_s=0.0, end_s=60.0)
    assert not found.trusted


def test_nothing_to_go_by() -> None:
    empty = pool(np.zeros(0), np.zeros((0, len(OFFSETS))))
    found = fit(empty, OFFSETS, start_s=0.0, end_s=5.0)
    assert found.kind == "undecided"
    assert "face" in found.words
    with pytest.raises(ValueError, match="columns"):
        fit(empty, OFFSETS[:5], start_s=0.0, end_s=5.0)
    with pytest.raises(ValueError, match="no offsets"):
        found.at(1.0)


def test_pooling_in_pieces_is_the_same_as_at_once() -> None:
    times, curves = windows(20, level(0.1))
    half = int(np.searchsorted(times, 8.0))  # a multiple of the block length
    whole, parts = pool(times, curves), join([pool(times[half:], curves[half:]), pool(times[:half], curves[:half])])
    assert np.array_equal(whole.slots, parts.slots)
    assert np.allclose(whole.curves, parts.curves, atol=1e-6)
    assert whole.windows.sum() == len(times)
    with pytest.raises(ValueError, match="cannot be joined"):
        join([whole, pool(times, curves, span_s=1.0)])


@settings(max_examples=20, deadline=None)
@given(st.integers(-60, 60), st.floats(-5, 5), st.floats(0.2, 5), st.integers(0, 3))
def test_shift_level_and_scale(columns: int, height: float, factor: float, seed: int) -> None:
    """Moving the curves by n columns moves the offset by exactly n hops; a constant or a factor changes nothing."""
    times, curves = windows(20, level(0.05), seed)
    plain = fit(pool(times, curves), OFFSETS, start_s=0.0, end_s=20.0)
    moved = fit(pool(times, np.roll(curves, columns, axis=1) * factor + height), OFFSETS, start_s=0.0, end_s=20.0)
    assert plain.segments
    assert moved.segments
    assert moved.segments[0].offset_ms - plain.segments[0].offset_ms == pytest.approx(10 * columns, abs=1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(2, 6), st.floats(0, 10), st.integers(0, 10**6))
def test_best_path_is_best(rows: int, states: int, cost: float, seed: int) -> None:
    """Viterbi's score is that of its own path, and no single change of it is better."""
    support = np.random.default_rng(seed).normal(0, 2, (rows, states))

    def score(path: NDArray[np.int64]) -> float:
        return float(support[np.arange(rows), path].sum() - cost * np.count_nonzero(np.diff(path)))

    path, best = best_path(support, cost)
    assert score(path) == pytest.approx(best)
    assert best >= support.sum(axis=0).max() - 1e-9
    for row in range(rows):
        for state in range(states):
            other = path.copy()
            other[row:] = state
            assert score(other) <= best + 1e-9


def test_three_hours_take_seconds() -> None:
    rng = np.random.default_rng(0)
    count = 27000
    curves = rng.standard_normal((count, len(OFFSETS)), dtype=np.float32)
    curves -= 3 * np.exp(-0.5 * ((OFFSETS[None] + 0.2) / 0.04) ** 2).astype(np.float32)
    blocks = Blocks(np.arange(count), curves, np.full(count, 10))
    found = fit(blocks, OFFSETS, start_s=0.0, end_s=10800.0, cuts_s=list(np.arange(5.0, 10800.0, 7.0)))
    assert found.kind == "constant"
    assert found.offset_ms == pytest.approx(-200, abs=2)


SHOTS = np.arange(8.0, 600.0, 8.0)  # cuts of ten minutes


def own(seed: int, scale: float = 0.045) -> Truth:
    """What each shot is off by itself: most by some tens of ms, every tenth by anything."""
    rng = np.random.default_rng(seed)
    draws = np.where(rng.random(len(SHOTS) + 1) < 0.1, rng.uniform(-0.4, 0.4, len(SHOTS) + 1), 0.0)
    draws += np.clip(rng.normal(0, scale, len(draws)), -0.1, 0.1)
    return lambda t: draws[np.searchsorted(SHOTS, t, side="right")]


@pytest.mark.parametrize(("rate", "start"), [(20.0, 0.0), (-20.0, 0.06), (100.0, -0.45)])
def test_a_drift_of_shots_that_are_each_off_by_themselves(rate: float, start: float) -> None:
    each = own(int(rate) % 7)
    found = fitted(600, lambda t: start + t * rate / 60e3 + each(t), 1, tuple(SHOTS))
    assert found.kind == "drift" and found.trusted
    assert found.rate_ms_per_min == pytest.approx(rate, abs=4)  # ten minutes of such shots say no more
    assert found.rate_interval[0] - 1 <= rate <= found.rate_interval[1] + 1
    assert found.at(300.0) == pytest.approx(start * 1e3 + rate * 5, abs=20)


@pytest.mark.parametrize("inside_s", [0.0, 2.4])
def test_steps_of_shots_that_are_each_off_by_themselves(inside_s: float) -> None:
    each = own(3, 0.03)
    bounds = [SHOTS[k] + inside_s for k in (17, 38, 58)]
    levels = np.array([0.0, 0.24, -0.12, 0.12])
    found = fitted(600, lambda t: levels[np.searchsorted(bounds, t, side="right")] + each(t), 2, tuple(SHOTS))
    assert found.kind == "steps" and found.trusted
    assert [s.offset_ms for s in found.segments] == pytest.approx(levels * 1e3, abs=25)
    assert [s.end_s for s in found.segments[:-1]] == pytest.approx(bounds, abs=0.5 if not inside_s else 1.0)


def test_shots_that_are_off_by_themselves_are_one_offset() -> None:
    each = own(5)
    found = fitted(600, lambda t: 0.15 + each(t), 3, tuple(SHOTS))
    assert found.kind == "constant" and found.trusted
    assert found.offset_ms == pytest.approx(150, abs=20)


def test_few_shots_are_steps() -> None:
    found = fitted(24, lambda t: np.where(t < 8, 0.1, np.where(t < 16, -0.05, 0.08)), 0, (8.0, 16.0), silent=0.1)
    assert len(found.segments) == 3


def test_two_cameras_in_turn_are_not_one_offset_to_be_trusted() -> None:
    found = fitted(600, lambda t: np.where((t // 40) % 2 == 1, 0.3, 0.0), 4, tuple(SHOTS))
    assert found.kind == "intermittent" or not found.trusted


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_a_drift_that_something_else_would_explain_as_well_is_not_trusted(seed: int) -> None:
    cuts = tuple(float(t) for t in range(8, 300, 8))
    own = np.random.default_rng(seed).normal(0.0, 0.05, len(cuts) + 1)
    found = fitted(300, lambda t: 0.03 * t / 60 + own[np.searchsorted(cuts, t)], seed, cuts)
    assert found.kind == "drift" and not found.trusted
    assert any("would explain it as well as a drift" in reason for reason in found.reasons)
