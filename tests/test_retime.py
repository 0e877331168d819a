"""Corrected sound, sample by sample."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncnet.retime import Piece, Tape, pieces, reach_back, retimed
from syncnet.stretch import Floats, read_at_speed, resampled
from syncnet.timeline import Segment, Timeline, constant

RATE = 8000


def chunked(samples: Floats, size: int = 1000) -> Iterator[Floats]:
    for start in range(0, samples.shape[1], size):
        yield samples[:, start : start + size]


def corrected(samples: Floats, timeline: Timeline, seconds: float, rate: int = RATE) -> Floats:
    plan = pieces(timeline, 0.0, seconds, rate)
    tape = Tape(chunked(samples), len(samples), reach_back(plan, rate))
    return np.concatenate(list(retimed(tape, plan, rate)), axis=1)


def noise(seconds: float, channels: int = 2, rate: int = RATE) -> Floats:
    return np.random.default_rng(0).standard_normal((channels, int(seconds * rate)), dtype=np.float32) * 0.1


def steps(*bands: tuple[float, float, float]) -> Timeline:
    segments = tuple(Segment(a, b, ms, ms, (ms, ms), 5.0, 10) for a, b, ms in bands)
    return Timeline("steps", bands[0][0], bands[-1][1], segments)


def drift(start_ms: float, end_ms: float, seconds: float) -> Timeline:
    return Timeline("drift", 0.0, seconds, (Segment(0.0, seconds, start_ms, end_ms, (0, 0), 5.0, 10),))


@settings(max_examples=40, deadline=None)
@given(st.integers(-2000, 2000), st.floats(0.5, 6.0))
def test_a_constant_moves_samples_untouched(shift: int, seconds: float) -> None:
    source = noise(5.0)
    out = corrected(source, constant(shift / RATE * 1e3, 0.0, 5.0), seconds)
    count = round(seconds * RATE)
    assert out.shape == (2, count)
    padded = np.concatenate([np.zeros((2, 9000)), source, np.zeros((2, 60000))], axis=1)
    assert np.array_equal(out, padded[:, 9000 + shift : 9000 + shift + count])


def test_late_sound_moves_earlier() -> None:
    source = np.zeros((1, RATE), np.float32)
    source[0, 4000] = 1.0  # heard at 0.5 s, seen at 0.4 s: 100 ms late
    out = corrected(source, constant(100.0, 0.0, 1.0), 1.0)
    assert int(out[0].argmax()) == 3200


def test_steps_are_cut_and_cross_faded() -> None:
    source = noise(10.0)
    out = corrected(source, steps((0, 4, 500.0), (4, 7, -250.0), (7, 10, 0.0)), 10.0)
    assert out.shape == source.shape
    fade = 80
    assert np.array_equal(out[:, : 4 * RATE - fade], source[:, 4000 : 8 * 4000 + 4000 - fade])
    assert np.array_equal(out[:, 4 * RATE + fade : 7 * RATE - fade], source[:, 30000 + fade : 54000 - fade])
    assert np.array_equal(out[:, 7 * RATE + fade :], source[:, 7 * RATE + fade :])
    around = out[:, 4 * RATE - fade : 4 * RATE + fade]
    assert np.std(around) == pytest.approx(np.std(source), rel=0.15)  # no dip, no bump in loudness


def test_jumps_of_ten_seconds_both_ways() -> None:
    source = noise(60.0, 1)
    out = corrected(source, steps((0, 20, 9000.0), (20, 40, -9000.0), (40, 60, 9000.0)), 60.0)
    assert np.array_equal(out[:, 21 * RATE : 39 * RATE], source[:, 12 * RATE : 30 * RATE])
    assert np.array_equal(out[:, 41 * RATE : 50 * RATE], source[:, 50 * RATE : 59 * RATE])
    assert not out[:, -8 * RATE :].any()


@pytest.mark.parametrize("rate_ms_per_min", [20.0, -20.0, 100.0])
def test_drift_is_resampled_to_a_fraction_of_a_sample(rate_ms_per_min: float) -> None:
    seconds = 60.0
    time = np.arange(int((seconds + 1) * RATE)) / RATE
    speed = 1 + rate_ms_per_min / 60e3
    heard = np.sin(2 * np.pi * 440 * time / speed + 0.2 * np.sin(time))[None].astype(np.float32)
    out = corrected(heard, drift(0.0, rate_ms_per_min, seconds), seconds)
    there = np.arange(out.shape[1]) / RATE * speed
    wanted = np.sin(2 * np.pi * 440 * there / speed + 0.2 * np.sin(there))
    assert np.abs(out[0] - wanted)[100:-100].max() < 1e-3


def test_resampling_keeps_the_spectrum_clean() -> None:
    time = np.arange(RATE * 3) / RATE
    source = np.sin(2 * np.pi * 3000 * time)[None].astype(np.float32)

    def read(start: int, stop: int) -> Floats:
        return source[:, start:stop]

    out = resampled(read, 100.25, 1.0005, RATE * 2)[0]
    wanted = np.sin(2 * np.pi * 3000 * (100.25 + 1.0005 * np.arange(RATE * 2)) / RATE)
    assert 10 * np.log10(np.mean((out - wanted) ** 2) / 0.5) < -75


def test_a_large_drift_keeps_the_pitch() -> None:
    rate, seconds = 16000, 6.0
    time = np.arange(int(rate * seconds * 1.05)) / rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * time))[None].astype(np.float32)
    tape = Tape(chunked(tone), 1, 10**6)
    out = next(read_at_speed(tape.read, 0.0, 25 / 24, [int(rate * seconds)], rate))[0]
    middle = out[rate : 5 * rate]
    peak = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() / 4
    assert peak == pytest.approx(440, abs=1.0)
    assert np.std(middle) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)


def test_a_large_drift_puts_events_where_they_belong() -> None:
    rate = 16000
    rng = np.random.default_rng(1)
    source = np.zeros((1, 11 * rate), np.float32)
    for second in range(1, 10):
        source[0, second * rate : second * rate + 800] = rng.standard_normal(800) * 0.5
    out = corrected(source, drift(0.0, 400.0, 10.0), 10.0, rate)
    for second in range(1, 9):
        due = second / 1.04
        near = np.abs(out[0, int((due - 0.05) * rate) : int((due + 0.1) * rate)])
        start = due - 0.05 + int((near > 0.1).argmax()) / rate
        assert start == pytest.approx(due, abs=0.015)


@pytest.mark.parametrize("end_ms", [110.0, 1400.0])
def test_a_drift_in_blocks_has_no_seams(end_ms: float) -> None:
    time = np.arange(40 * RATE) / RATE
    source = np.sin(2 * np.pi * 100 * time)[None].astype(np.float32)
    out = corrected(source, drift(50.0, end_ms, 36.0), 36.0)
    assert np.abs(np.diff(out[0], 2))[200:].max() < 0.012


def test_very_short_segments() -> None:
    source = noise(3.0)
    bands = [(k / 100, (k + 1) / 100, 100.0 * (k % 3)) for k in range(300)]
    assert corrected(source, steps(*bands), 3.0).shape == source.shape


def test_tape_forgets_what_it_was_told_to() -> None:
    tape = Tape(chunked(noise(3.0, 1)), 1, keep=1000)
    assert tape.read(-5, 3).shape == (1, 8)
    assert not tape.read(-5, 0).any()
    tape.read(15000, 16000)
    with pytest.raises(ValueError, match="no longer held"):
        tape.read(0, 10)
    assert not tape.read(30000, 30010).any()


def test_pieces_cover_everything_once() -> None:
    plan = pieces(steps((0, 4, 0.0), (4, 7, 90.0), (7, 10, 0.0)), 1.0, 6.0, RATE)
    assert plan == (Piece(0, 24000, 0.0, 1.0), Piece(24000, 40000, 24720.0, 1.0))
    with pytest.raises(ValueError, match="undecided"):
        pieces(Timeline("undecided", 0.0, 1.0), 0.0, 1.0, RATE)
