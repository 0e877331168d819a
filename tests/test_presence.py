"""Nothing to measure is told from something: no voice, no movement, no fit better than chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.curves import Curves
from syncnet.mfcc import SAMPLE_RATE, mfcc
from syncnet.offset import TrustLimits, clip_offset
from syncnet.presence import STEADY_DB, STILL, is_chance, lip_movement, sound_rise

OFFSETS = np.asarray(np.arange(-100, 101) / 100)


def noise(seconds: float, level: float, seed: int = 0) -> NDArray[np.float64]:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))


def syllables(seconds: float, level: float = 0.3) -> NDArray[np.float64]:
    """A tone that swells and fades four times a second."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(level * np.sin(2 * np.pi * 180 * t) * np.maximum(np.sin(2 * np.pi * 4 * t), 0.001))


def energy(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    first: NDArray[np.float32] = mfcc(samples.astype(np.float32))[0]
    return first


@pytest.mark.parametrize("level", [0.0, 1e-4, 0.01, 0.3])
def test_silence_and_steady_noise_do_not_rise(level: float) -> None:
    assert sound_rise(energy(noise(4, level))) < STEADY_DB / 2


def test_a_steady_hum_does_not_rise() -> None:
    t = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    assert sound_rise(energy(np.asarray(0.3 * np.sin(2 * np.pi * 100 * t)))) < STEADY_DB / 2


def test_noise_that_sets_in_and_stops_does_not_rise() -> None:
    sound = np.concatenate([np.zeros(SAMPLE_RATE), noise(3, 0.1), np.zeros(SAMPLE_RATE)])
    assert sound_rise(energy(sound)) < STEADY_DB


@pytest.mark.parametrize("level", [0.0, 0.001, 0.003])
def test_sound_that_comes_and_goes_rises_even_over_noise(level: float) -> None:
    assert sound_rise(energy(syllables(4) + noise(4, level))) > STEADY_DB


def test_a_word_in_much_noise_rises() -> None:
    sound = noise(20, 0.002)
    sound[5 * SAMPLE_RATE : 6 * SAMPLE_RATE] += syllables(1)
    assert sound_rise(energy(sound)) > STEADY_DB


@given(st.integers(0, 30))
def test_hardly_any_sound_does_not_rise(columns: int) -> None:
    assert sound_rise(np.full(columns, 15.0, np.float32)) == pytest.approx(0, abs=1e-9)


def lips(frames: int, depth: float, jitter: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """Lips that open by `depth` three times a second, measured with some jitter."""
    swing = depth * np.sin(2 * np.pi * 3 * np.arange(frames) / 25)
    return (0.1 + swing + jitter * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


def test_held_lips_are_still_and_speaking_ones_are_not() -> None:
    seen = np.ones(100, bool)
    assert lip_movement(lips(100, 0.0), seen) == pytest.approx(0, abs=1e-6)
    assert lip_movement(lips(100, 0.0, jitter=0.003), seen) < STILL
    assert lip_movement(lips(100, 0.03), seen) > 2 * STILL


def test_one_word_in_a_long_silence_is_movement() -> None:
    gap = np.full(2000, 0.1, np.float32)
    gap[1500:1512] = lips(12, 0.05)
    assert lip_movement(gap, np.ones(2000, bool)) > 2 * STILL


def test_what_was_bridged_is_no_movement() -> None:
    gap = lips(100, 0.0)
    gap[40:60] = np.linspace(0.1, 0.4, 20)
    seen = np.ones(100, bool)
    seen[40:60] = False
    assert lip_movement(gap, seen) == pytest.approx(0, abs=1e-6)
    assert lip_movement(lips(100, 0.1), np.zeros(100, bool)) == 0


@given(st.integers(0, 12))
def test_very_short_tracks_have_a_movement_too(frames: int) -> None:
    moved = lip_movement(lips(frames, 0.1), np.ones(frames, bool))
    assert np.isfinite(moved) and (moved == 0) == (frames < 5)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 0.2), st.floats(0.1, 5.0))
def test_movement_grows_with_the_opening_and_not_with_the_rest(depth: float, scale: float) -> None:
    seen = np.ones(60, bool)
    one, other = lip_movement(lips(60, depth), seen), lip_movement(lips(60, depth) + np.float32(scale), seen)
    assert other == pytest.approx(one, abs=1e-4)
    assert lip_movement(np.float32(scale) * lips(60, depth), seen) == pytest.approx(scale * one, abs=1e-4)


def curves(depth: float, seed: int, seconds: float = 8.0, at_ms: float = 80.0, drift_ms: float = 0.0) -> Curves:
    """Distances of windows whose valleys lie anywhere, and by `depth` also at one offset that drifts by `drift_ms`."""
    rng = np.random.default_rng(seed)
    windows = round(seconds * 25)
    rough = rng.standard_normal((windows + 4, len(OFFSETS) + 8)).cumsum(0).cumsum(1)
    smooth = (rough[4:] - rough[:-4])[:, 8:] - (rough[4:] - rough[:-4])[:, :-8]
    place = at_ms + drift_ms * np.linspace(-0.5, 0.5, windows)[:, None]
    valley = depth * np.exp(-(((OFFSETS * 1000 - place) / 50) ** 2))
    return Curves(np.asarray(np.arange(windows) / 25), OFFSETS, (13 + smooth / 6 - valley).astype(np.float32))


def test_windows_that_share_an_offset_are_no_chance() -> None:
    assert not any(is_chance(clip_offset(curves(2.0, seed)), TrustLimits()) for seed in range(10))


def test_windows_that_agree_with_later_ones_but_not_with_all_are_no_chance() -> None:
    """A recording whose sound drifts from 0.9 s early to 0.9 s late has no one offset, but is no guess either."""
    drifting = [clip_offset(curves(3.0, seed, seconds=60.0, at_ms=0.0, drift_ms=1800.0)) for seed in range(3)]
    shares = [float(np.mean(np.abs(clip.windows.offset_ms - clip.offset_ms) <= 80)) for clip in drifting]
    assert max(shares) < 0.3, "few windows should lie near any one offset"
    assert not any(is_chance(clip, TrustLimits()) for clip in drifting)


def test_windows_that_share_none_are_chance_more_often_than_not_and_never_trusted() -> None:
    clips = [clip_offset(curves(0.0, seed)) for seed in range(20)]
    assert sum(is_chance(clip, TrustLimits()) for clip in clips) > 10
    assert not any(clip.trusted for clip in clips)


def test_a_clip_too_short_for_an_interval_is_not_judged() -> None:
    assert not is_chance(clip_offset(curves(0.0, 1, seconds=0.8)), TrustLimits())
