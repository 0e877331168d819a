"""The coefficients against another implementation, and what must hold for any sound."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.errors import InputError
from syncnet.mfcc import BLOCK_COLUMNS, FLOOR, FULL_SCALE, HOP, SAMPLE_RATE, WINDOW, mfcc, mfcc_stream

oracle = pytest.importorskip("python_speech_features")
Samples = NDArray[np.float32]

BLOCK_SAMPLES = BLOCK_COLUMNS * HOP


def noise(n: int, seed: int, level: float = 0.1) -> Samples:
    """Noise on the grid of 16-bit samples, loud and soft by turns as speech is."""
    rng = np.random.default_rng(seed)
    swell = 0.02 + np.abs(np.sin(2 * np.pi * 3 * np.arange(n) / SAMPLE_RATE))
    return to_float(np.clip(rng.normal(size=n) * swell * level * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1))


def to_float(int16_scale: NDArray[np.float64]) -> Samples:
    return (np.round(int16_scale) / FULL_SCALE).astype(np.float32)


def expected(samples: Samples) -> NDArray[np.float64]:
    int16 = np.round(samples.astype(np.float64) * FULL_SCALE).astype(np.int16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(oracle.mfcc(int16, SAMPLE_RATE).T)


def tone(n: int, hz: float, level: float) -> Samples:
    return to_float(level * FULL_SCALE * np.sin(2 * np.pi * hz * np.arange(n) / SAMPLE_RATE))


@pytest.mark.parametrize("n", [1, 2, 159, 160, 239, 240, 241, 399, 400, 401, 559, 560, 561, 720, 721, 16000, 16123])
def test_equals_the_oracle_at_every_kind_of_length(n: int) -> None:
    samples = noise(n, seed=n)
    result = mfcc(samples)
    assert result.shape == expected(samples).shape
    np.testing.assert_allclose(result, expected(samples), atol=1e-4, rtol=0)


@pytest.mark.parametrize("extra", [-1, 0, 1, 239, 240, 241, 399, 400, 401, 12345])
@pytest.mark.parametrize("blocks", [1, 2])
def test_equals_the_oracle_around_the_block_boundary(blocks: int, extra: int) -> None:
    samples = noise(blocks * BLOCK_SAMPLES + extra, seed=7)
    np.testing.assert_allclose(mfcc(samples), expected(samples), atol=1e-4, rtol=0)


@pytest.mark.parametrize("hz", [31.25, 100.0, 440.0, 1000.0, 3999.0, 7900.0])
@pytest.mark.parametrize("level", [0.9, 0.01, 1 / FULL_SCALE])
def test_equals_the_oracle_on_tones(hz: float, level: float) -> None:
    samples = tone(SAMPLE_RATE, hz, level)
    np.testing.assert_allclose(mfcc(samples), expected(samples), atol=1e-4, rtol=0)


def test_equals_the_oracle_on_full_scale_click_and_silence_around_it() -> None:
    samples = np.zeros(SAMPLE_RATE, dtype=np.float32)
    samples[5000], samples[5001] = -1.0, 32767 / FULL_SCALE
    np.testing.assert_allclose(mfcc(samples), expected(samples), atol=1e-4, rtol=0)


def test_layout_is_thirteen_by_time_float32_contiguous() -> None:
    result = mfcc(noise(5 * SAMPLE_RATE, seed=1))
    assert result.shape == (13, 499)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous


def test_no_sound_has_no_columns() -> None:
    assert mfcc(np.zeros(0, dtype=np.float32)).shape == (13, 0)
    assert list(mfcc_stream([])) == []
    assert list(mfcc_stream([np.zeros(0, dtype=np.float32)])) == []


def test_digital_silence_is_finite_and_at_the_floor() -> None:
    result = mfcc(np.zeros(SAMPLE_RATE, dtype=np.float32))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result[0], np.log(FLOOR), rtol=1e-6)
    np.testing.assert_allclose(result[1:], 0.0, atol=1e-4)


def test_denormal_sound_is_finite() -> None:
    assert np.isfinite(mfcc(np.full(SAMPLE_RATE, 1e-40, dtype=np.float32))).all()


def test_tail_is_padded_with_zeros_not_cut() -> None:
    samples = noise(WINDOW + 1, seed=3)
    padded = np.concatenate([samples, np.zeros(HOP - 1, dtype=np.float32)])
    assert mfcc(samples).shape == (13, 2)
    # Zeros that belong to the sound pass the pre-emphasis filter, which rings for one sample; the padding does not.
    assert mfcc(padded).shape == (13, 2)
    np.testing.assert_array_equal(mfcc(samples)[:, 0], mfcc(padded)[:, 0])
    assert np.abs(mfcc(samples)[:, 1] - mfcc(padded)[:, 1]).max() > 1e-6


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chunking_gives_exactly_the_whole(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 2 * BLOCK_SAMPLES + 1000))
    samples = noise(n, seed=data.draw(st.integers(0, 5)))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=12)))
    blocks = list(mfcc_stream(np.split(samples, cuts)))
    assert all(block.shape[1] > 0 for block in blocks)
    joined = np.concatenate([np.empty((13, 0), np.float32), *blocks], axis=1)
    np.testing.assert_array_equal(joined, mfcc(samples))


def test_one_sample_at_a_time_gives_exactly_the_whole() -> None:
    samples = noise(BLOCK_SAMPLES + 777, seed=11)
    joined = np.concatenate(list(mfcc_stream(samples[i : i + 1] for i in range(len(samples)))), axis=1)
    np.testing.assert_array_equal(joined, mfcc(samples))


def test_stream_gives_a_block_before_it_asks_for_all_the_sound() -> None:
    asked = 0

    def endless() -> Iterator[Samples]:
        nonlocal asked
        while True:
            asked += 1
            yield np.full(HOP, 0.1, dtype=np.float32)

    first = next(mfcc_stream(endless()))
    assert first.shape[0] == 13
    assert asked <= BLOCK_COLUMNS + 2


@settings(max_examples=40, deadline=None)
@given(st.integers(WINDOW, 3 * BLOCK_SAMPLES // 2), st.integers(1, 300), st.integers(0, 5))
def test_shift_by_a_hop_moves_the_columns_by_one(n: int, hops: int, seed: int) -> None:
    samples = noise(n, seed)
    delayed = mfcc(np.concatenate([noise(hops * HOP, seed + 100), samples]))
    # The first column of `samples` has no sample before it to take the pre-emphasis from.
    np.testing.assert_allclose(delayed[:, hops + 1 :], mfcc(samples)[:, 1:], atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 8.0), st.integers(0, 5))
def test_gain_adds_twice_its_logarithm_to_the_energy_and_nothing_else(gain: float, seed: int) -> None:
    samples = noise(SAMPLE_RATE, seed)
    louder = mfcc((samples.astype(np.float64) * gain).astype(np.float32))
    plain = mfcc(samples)
    np.testing.assert_allclose(louder[0] - plain[0], 2 * np.log(gain), atol=1e-3)
    np.testing.assert_allclose(louder[1:], plain[1:], atol=2e-3)


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match="mono"):
        mfcc(np.zeros((2, 100), dtype=np.float32))
    with pytest.raises(InputError, match="int16"):
        mfcc(np.zeros(100, dtype=np.int16))
    with pytest.raises(InputError, match="NaN"):
        mfcc(np.array([0.0, np.nan], dtype=np.float32))
