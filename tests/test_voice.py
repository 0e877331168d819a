"""Voice activity from log energy made by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from syncnet.mfcc import mfcc
from syncnet.voice import bridged, runs, voice_activity


def energy(*parts: tuple[float, float]) -> np.ndarray:
    """Log energy at 100 Hz: stretches of (seconds, level), with a little life in it."""
    rng = np.random.default_rng(1)
    level = np.concatenate([np.full(round(100 * s), value) for s, value in parts])
    return (level + 0.3 * rng.standard_normal(len(level))).astype(np.float32)


def test_speech_between_silences() -> None:
    active = voice_activity(energy((2, 11), (3, 19), (2, 11)))
    assert not active[:180].any() and active[215:485].all() and not active[520:].any()


def test_short_pauses_are_part_of_speech_and_clicks_are_not() -> None:
    active = voice_activity(energy((2, 11), (1, 19), (0.15, 11), (1, 19), (2, 11), (0.03, 16), (2, 11)))
    assert active[220:400].all()
    assert not active[430:].any()


def test_hum_silence_and_nothing_hold_no_voice() -> None:
    assert not voice_activity(energy((10, 16))).any()
    assert not voice_activity(mfcc(np.zeros(32000, np.float32))[0]).any()
    assert len(voice_activity(np.zeros(0, np.float32))) == 0


def test_a_louder_film_has_the_same_voice() -> None:
    soft, loud = energy((2, 11), (3, 17), (2, 11)), energy((2, 13), (3, 19), (2, 13))
    np.testing.assert_array_equal(voice_activity(soft), voice_activity(loud))


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(0, 10))
def test_bridging_fills_inner_gaps_only(flags: list[bool], longest: int) -> None:
    active = np.array(flags, bool)
    filled = bridged(active, longest)
    assert (filled | active).sum() == filled.sum()
    if active.any():
        first, last = int(active.argmax()), len(active) - int(active[::-1].argmax())
        assert not filled[:first].any() and not filled[last:].any()
        gaps = [b - a for a, b in runs(~filled[first:last])]
        assert all(gap > longest for gap in gaps)
    assert sum(b - a for a, b in runs(active)) == active.sum()


def test_speech_little_louder_than_noise_is_heard() -> None:
    active = voice_activity(energy((2, 15), (3, 16.5), (2, 15)))  # 6.5 dB
    assert active[215:485].mean() > 0.9
    assert active[:180].mean() < 0.1
