"""The answer for a clip: planted offsets come back, and what should not be trusted says why."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.curves import HOP_S, Curves, distances, window_offsets
from syncnet.errors import NoAnswer
from syncnet.offset import ClipOffset, TrustLimits, assess, clip_offset, in_words

Array = NDArray[np.float32]
Times = NDArray[np.float64]
WIDTH = 32


def walk(rng: np.random.Generator, top_hz: float) -> Callable[[Times], Array]:
    """A random walk on the sphere of radius 10 that moves at up to `top_hz`; times (n,) to embeddings (n, WIDTH)."""
    hz, phase = rng.uniform(-top_hz, top_hz, 64), rng.uniform(0, 2 * np.pi, 64)
    weights = rng.normal(size=(64, WIDTH))
    return lambda times: on_sphere(np.cos(2 * np.pi * np.outer(times, hz) + phase) @ weights)


def on_sphere(path: NDArray[np.floating]) -> Array:
    return np.asarray(10 * path / np.linalg.norm(path, axis=1, keepdims=True), dtype=np.float32)


def talk(
    offset_ms: float, seconds: float = 8.0, noise: float = 0.5, seed: int = 0, phase: float = 0.003
) -> tuple[Array, Array, Times, Times]:
    """Embeddings of a clip whose sound comes `offset_ms` after its picture, with sound 2 s around it."""
    rng = np.random.default_rng(seed)
    t_sound = np.asarray(np.arange(-200, round(seconds * 100) + 200) * HOP_S)
    t_picture = np.asarray(np.arange(round(seconds * 25) - 4) * 0.04 + 0.1 + phase)
    speech, other = walk(rng, 5.0), walk(rng, 8.0)
    # Sound that comes late stands at t + offset for what is seen at t.
    picture = on_sphere(speech(t_picture) + noise * other(t_picture))
    return picture, speech(t_sound - offset_ms / 1000), t_picture, t_sound


def silence(parts: tuple[Array, Array, Times, Times], start: float, end: float) -> tuple[Array, Array, Times, Times]:
    """The same with the same embedding for all sound, and for all pictures, between two times."""
    picture, sound, t_picture, t_sound = parts
    picture, sound = picture.copy(), sound.copy()
    picture[(t_picture >= start) & (t_picture < end)] = on_sphere(np.ones((1, WIDTH)))
    sound[(t_sound >= start) & (t_sound < end)] = on_sphere(-np.ones((1, WIDTH)))
    return picture, sound, t_picture, t_sound


def test_worked_example_of_one_window() -> None:
    """Distances every 100 ms from -1000 to +1000, least 2.8 at -300, median 12.5: offset -300 ms, confidence 9.7."""
    rise = [2.8, 9.1, 11.6, 12.3, 12.4, 12.5, 12.6, 12.7]
    left, right = rise[1:], [*rise[1:], 12.5, 12.6, 12.4, 12.5, 12.7, 12.8]
    distance = [*left[::-1], 2.8, *right]
    offsets = np.asarray(np.arange(-10, 11) / 10)
    assert len(distance) == 21 and np.median(distance) == 12.5
    one = Curves(np.zeros(1), offsets, np.array([distance], dtype=np.float32))
    window = window_offsets(one)
    assert window.offset_ms[0] == -300.0
    assert window.grid_ms[0] == -300.0
    assert window.confidence[0] == pytest.approx(9.7, abs=1e-6)
    assert not window.at_edge[0]
    clip = clip_offset(one)
    assert clip.offset_ms == -300.0
    assert clip.confidence == pytest.approx(9.7, abs=1e-6)
    assert not clip.trusted  # one window is no clip


@settings(max_examples=25, deadline=None)
@given(st.floats(-700, 700), st.floats(0, 0.0399), st.integers(0, 10))
def test_planted_offset_comes_back_within_5_ms(offset_ms: float, phase: float, seed: int) -> None:
    clip = clip_offset(distances(*talk(offset_ms, seed=seed, phase=phase)))
    assert clip.offset_ms == pytest.approx(offset_ms, abs=5.0)
    assert clip.trusted, clip.reasons
    assert clip.dropped_ms == pytest.approx(offset_ms, abs=10.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(-60, 60), st.integers(0, 5))
def test_delaying_the_sound_by_hops_moves_every_figure_by_exactly_that(hops: int, seed: int) -> None:
    picture, sound, t_picture, t_sound = talk(35.0, noise=0.3, seconds=4.0, seed=seed)
    before = clip_offset(distances(picture, sound, t_picture, t_sound), seed=seed)
    after = clip_offset(distances(picture, sound, t_picture, t_sound + hops * HOP_S), seed=seed)
    moved = hops * HOP_S * 1000
    assert after.offset_ms == pytest.approx(before.offset_ms + moved, abs=0.2)
    assert after.windows.offset_ms[10:-10] == pytest.approx(before.windows.offset_ms[10:-10] + moved, abs=0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(-60, 60), st.floats(0, 0.0399), st.integers(0, 5))
def test_delaying_the_sound_by_hops_moves_single_windows_by_exactly_that(hops: int, phase: float, seed: int) -> None:
    picture, sound, t_picture, t_sound = talk(35.0, noise=0.3, seconds=3.0, seed=seed, phase=phase)
    before = window_offsets(distances(picture, sound, t_picture, t_sound))
    after = window_offsets(distances(picture, sound, t_picture, t_sound + hops * HOP_S))
    # Both minima must lie within both ranges: what comes into the range from one end may be deeper.
    same = (np.abs(before.grid_ms + 10 * hops) < 990) & (np.abs(after.grid_ms - 10 * hops) < 990)
    assert same.mean() > 0.8
    assert (after.grid_ms - before.grid_ms)[same] == pytest.approx(10.0 * hops, abs=1e-6)
    assert (after.offset_ms - before.offset_ms)[same] == pytest.approx(10.0 * hops, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-2, 1e2), st.integers(0, 5))
def test_larger_embeddings_change_the_confidence_alone(scale: float, seed: int) -> None:
    picture, sound, t_picture, t_sound = talk(-160.0, seconds=4.0, seed=seed)
    one = clip_offset(distances(picture, sound, t_picture, t_sound))
    size = np.float32(scale)
    other = clip_offset(distances(size * picture, size * sound, t_picture, t_sound))
    assert other.offset_ms == pytest.approx(one.offset_ms, abs=0.1)
    assert other.confidence == pytest.approx(scale * one.confidence, rel=1e-3)
    assert other.interval_ms == pytest.approx(one.interval_ms, abs=1.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 20), st.integers(0, 5))
def test_more_sound_around_and_pictures_without_sound_change_nothing(
    before: int, after: int, mute: int, seed: int
) -> None:
    """The range is 1 s and 2 s of sound lie around the picture, so up to 100 hops of either end are never compared."""
    picture, sound, t_picture, t_sound = talk(120.0, seconds=4.0, seed=seed)
    one = clip_offset(distances(picture, sound, t_picture, t_sound))
    some = slice(before, len(sound) - after)
    far = t_sound[-1] + 10.0 + np.arange(mute) / 25
    other = clip_offset(
        distances(
            np.concatenate([picture, picture[:mute]]), sound[some], np.concatenate([t_picture, far]), t_sound[some]
        )
    )
    assert other.offset_ms == pytest.approx(one.offset_ms, abs=1e-3)
    assert other.confidence == pytest.approx(one.confidence, rel=1e-4)
    assert other.windows_used == one.windows_used
    assert other.windows_total == one.windows_total


def test_interval_holds_the_answer_and_the_truth() -> None:
    clip = clip_offset(distances(*talk(-118.0, noise=1.5)))
    assert clip.interval_ms is not None
    low, high = clip.interval_ms
    assert low <= clip.offset_ms <= high
    assert low - 5 <= -118.0 <= high + 5
    assert high - low < 40


def test_same_input_gives_the_same_answer() -> None:
    one, other = (clip_offset(distances(*talk(200.0, noise=1.5)), seed=1) for _ in range(2))
    assert one.interval_ms == other.interval_ms
    assert one.offset_ms == other.offset_ms
    np.testing.assert_array_equal(one.curve, other.curve)


def test_silence_does_not_mislead() -> None:
    parts = silence(talk(-160.0, seconds=10.0), 2.0, 7.0)
    clip = clip_offset(distances(*parts))
    assert clip.offset_ms == pytest.approx(-160.0, abs=5.0)
    assert clip.windows_used < clip.windows_total


def test_sound_that_ends_early_does_not_mislead() -> None:
    picture, sound, t_picture, t_sound = talk(300.0, seconds=6.0)
    clip = clip_offset(distances(picture, sound[200:500], t_picture, t_sound[200:500]))
    assert clip.offset_ms == pytest.approx(300.0, abs=6.0)


def test_offset_outside_the_range_is_not_trusted() -> None:
    clip = clip_offset(distances(*talk(1500.0, noise=0.3)))
    assert not clip.trusted


def test_offset_just_outside_the_range_is_named_as_lying_at_the_edge() -> None:
    clip = clip_offset(distances(*talk(520.0, noise=0.1), range_s=0.5))
    assert clip.at_edge
    assert any("edge" in reason and "500 ms late" in reason for reason in clip.reasons)


def test_wider_range_finds_it() -> None:
    clip = clip_offset(distances(*talk(1500.0, seconds=8.0), range_s=1.8))
    assert clip.offset_ms == pytest.approx(1500.0, abs=5.0)
    assert clip.trusted, clip.reasons


@pytest.mark.parametrize("seed", range(8))
def test_unrelated_sound_is_not_trusted(seed: int) -> None:
    picture, _, t_picture, t_sound = talk(0.0, seed=seed)
    _, sound, _, _ = talk(0.0, seed=seed + 100)
    clip = clip_offset(distances(picture, sound, t_picture, t_sound))
    assert not clip.trusted


def test_too_short_a_clip_is_named() -> None:
    clip = clip_offset(distances(*talk(0.0, seconds=0.44, noise=0.1)))
    assert clip.interval_ms is None
    assert any("too few windows" in reason for reason in clip.reasons)
    assert any("too short" in reason for reason in clip.reasons)


def test_no_sound_at_all_is_no_answer() -> None:
    picture, sound, t_picture, t_sound = talk(0.0, seconds=2.0)
    with pytest.raises(NoAnswer, match="within the range"):
        clip_offset(distances(picture, sound, t_picture + 100, t_sound))


def test_windows_that_share_no_offset_are_no_answer() -> None:
    """Three windows of sound under a long clip: every window of picture meets them at another offset."""
    picture, sound, t_picture, t_sound = talk(0.0, seconds=2.0)
    with pytest.raises(NoAnswer, match="too little sound"):
        clip_offset(distances(picture, sound[300:303], t_picture, t_sound[300:303]))


def test_equal_distances_everywhere_are_no_answer() -> None:
    flat = Curves(
        np.asarray(np.arange(50) * 0.04), np.asarray(np.arange(-100, 101) / 100), np.full((50, 201), 9.0, "f4")
    )
    with pytest.raises(NoAnswer, match="nearer"):
        clip_offset(flat)


@pytest.fixture(scope="module")
def good() -> ClipOffset:
    clip = clip_offset(distances(*talk(-118.0)))
    assert clip.trusted, clip.reasons
    return clip


def test_low_confidence_is_named(good: ClipOffset) -> None:
    assert assess(replace(good, confidence=0.4), TrustLimits()) != ()
    assert "confidence is low: 0.4" in assess(replace(good, confidence=0.4), TrustLimits())[0]


def test_wide_interval_is_named_in_words(good: ClipOffset) -> None:
    (reason,) = assess(replace(good, interval_ms=(-420.0, 130.0)), TrustLimits())
    assert reason == "the interval is wide: from 420 ms early to 130 ms late"


def test_windows_that_disagree_are_named(good: ClipOffset) -> None:
    spread = np.linspace(-1000, 1000, len(good.windows.offset_ms))
    (reason,) = assess(replace(good, windows=replace(good.windows, offset_ms=spread)), TrustLimits())
    assert "disagree" in reason


def test_second_minimum_about_as_deep_is_named(good: ClipOffset) -> None:
    offsets_ms = good.offsets_s * 1000
    twin = good.curve - 0.95 * good.confidence * np.exp(-(((offsets_ms - 500) / 60) ** 2))
    reasons = assess(replace(good, curve=twin), TrustLimits())
    assert any("500 ms late, fits about as well" in reason for reason in reasons)
    shallow = good.curve - 0.2 * good.confidence * np.exp(-(((offsets_ms - 500) / 60) ** 2))
    assert assess(replace(good, curve=shallow), TrustLimits()) == ()


def test_limits_are_arguments(good: ClipOffset) -> None:
    assert any("windows are sure" in reason for reason in assess(good, TrustLimits(windows=10_000)))
    strict = clip_offset(distances(*talk(-118.0)), TrustLimits(window_confidence=50.0))
    assert strict.windows_used == 0
    assert strict.dropped_ms is None


def test_echo_in_the_sound_is_a_rival() -> None:
    """Sound that repeats itself after 400 ms fits the picture at two offsets."""
    picture, sound, t_picture, t_sound = talk(0.0, seconds=6.0, noise=0.3)
    looped = on_sphere(sound + np.roll(sound, 40, axis=0))
    clip = clip_offset(distances(picture, looped, t_picture, t_sound))
    assert any("fits about as well" in reason for reason in clip.reasons)


def test_words() -> None:
    assert in_words(117.6) == "audio is 118 ms late (lags the picture)"
    assert in_words(-118.0) == "audio is 118 ms early (leads the picture)"
    assert in_words(9.4) == in_words(-9.4) == in_words(0.0) == "audio and picture are in sync (within 10 ms)"
    assert in_words(9.6) == "audio is 10 ms late (lags the picture)"
