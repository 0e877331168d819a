"""Sound: levels, downmix, and the laying of blocks on the clock."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_media import ffmpeg, needs_ffmpeg
from syncnet.errors import InputError
from syncnet.media import SAMPLE_RATE, read_sound, sound_chunks
from syncnet.sound import Block, _continuous

RATE = 48000
BLOCK = 960
TOLERANCE = 1.5e-3


def numbered(times: list[float | None], size: int = BLOCK, rate: int = RATE) -> list[Block]:
    """Blocks of constant level 0.01, 0.02 ..., so that each can be told in the result."""
    return [Block(time, rate, np.full(size, 0.01 * (i + 1), np.float32)) for i, time in enumerate(times)]


def laid(blocks: list[Block]) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """The start of the continuous sound made of blocks, and its samples, each piece checked to follow on the last."""
    pieces = list(_continuous(blocks, TOLERANCE))
    written = 0
    for piece in pieces:
        assert piece.start == pytest.approx(pieces[0].start + written / SAMPLE_RATE, abs=1e-9)
        written += piece.samples.size
    return pieces[0].start, np.concatenate([piece.samples for piece in pieces])


def level(samples: np.ndarray[tuple[int], np.dtype[np.float32]], start: float, time: float) -> float:
    return float(samples[round((time - start) * SAMPLE_RATE)])


def test_blocks_that_follow_on_one_another_keep_their_length() -> None:
    start, samples = laid(numbered([3 + 0.02 * i for i in range(50)]))
    assert start == 3
    assert samples.size == SAMPLE_RATE
    for i in range(50):
        assert level(samples, start, 3.01 + 0.02 * i) == pytest.approx(0.01 * (i + 1), rel=0.05)


def test_a_gap_is_filled_with_silence() -> None:
    start, samples = laid(numbered([0.02 * i if i < 20 else 1 + 0.02 * i for i in range(40)]))
    assert samples.size == pytest.approx(1.8 * SAMPLE_RATE, abs=1)
    assert np.all(samples[round(0.41 * SAMPLE_RATE) : round(1.39 * SAMPLE_RATE)] == 0)
    assert level(samples, start, 1.41) == pytest.approx(0.21, rel=0.05)
    assert level(samples, start, 0.39) == pytest.approx(0.20, rel=0.05)


def test_an_overlap_is_cut() -> None:
    start, samples = laid(numbered([0.02 * i if i < 20 else 0.02 * i - 0.2 for i in range(60)]))
    assert samples.size == pytest.approx(1.0 * SAMPLE_RATE, abs=1)
    assert level(samples, start, 0.39) == pytest.approx(0.20, rel=0.05)
    assert level(samples, start, 0.41) == pytest.approx(0.31, rel=0.05)


def test_a_single_lost_block_is_seen_though_it_is_short() -> None:
    start, samples = laid(numbered([0.02 * i if i < 20 else 0.02 * (i + 1) for i in range(60)]))
    assert samples.size == pytest.approx(1.22 * SAMPLE_RATE, abs=1)
    assert level(samples, start, 0.41) == pytest.approx(0, abs=1e-6)
    assert level(samples, start, 0.43) == pytest.approx(0.21, rel=0.05)


@pytest.mark.parametrize("wild", [100.0, -100.0, 0.5])
@pytest.mark.parametrize("at", [0, 7, 30])
def test_one_damaged_timestamp_is_passed_over(wild: float, at: int) -> None:
    times: list[float | None] = [10 + 0.02 * i for i in range(60)]
    times[at] = (times[at] or 0) + wild
    start, samples = laid(numbered(times))
    assert start == pytest.approx(10, abs=1e-6)
    assert samples.size == pytest.approx(1.2 * SAMPLE_RATE, abs=1)


def test_blocks_without_timestamps_follow_on() -> None:
    start, samples = laid(numbered([2.0, None, None, 2.06, None]))
    assert start == 2
    assert samples.size == round(0.1 * SAMPLE_RATE)


@settings(deadline=None, max_examples=30)
@given(jitter=st.lists(st.floats(-0.008, 0.008), min_size=60, max_size=60))
def test_jitter_neither_cuts_nor_fills(jitter: list[float]) -> None:
    times: list[float | None] = [0.02 * i + shake for i, shake in enumerate(jitter)]
    times[0] = 0.0
    for i in (*range(0, 60, 4), 59):
        times[i] = 0.02 * i  # now and then a timestamp is right
    _, samples = laid(numbered(times))
    assert samples.size == round(1.2 * SAMPLE_RATE)


def test_a_drifting_clock_is_followed_to_two_milliseconds() -> None:
    drift = 1.0005  # a sound card that runs half a thousandth slow: 0.5 ms more in each second
    times: list[float | None] = [0.02 * i * drift for i in range(1000)]
    pieces = list(_continuous(numbered(times, BLOCK), TOLERANCE))
    end = pieces[-1].start + pieces[-1].samples.size / SAMPLE_RATE
    assert end == pytest.approx(20 * drift, abs=2e-3)


def test_a_change_of_rate_goes_on_without_a_seam() -> None:
    slow = [Block(0.02 * i, 48000, np.full(960, 0.5, np.float32)) for i in range(20)]
    fast = [Block(0.4 + 0.02 * i, 44100, np.full(882, 0.5, np.float32)) for i in range(20)]
    _, samples = laid(slow + fast)
    assert samples.size == pytest.approx(0.8 * SAMPLE_RATE, abs=1)
    assert samples.min() > 0.45


def test_samples_stay_within_one() -> None:
    _, samples = laid([Block(0.0, RATE, np.tile(np.array([1.5, -1.5], np.float32).repeat(100), 50))])
    assert np.abs(samples).max() <= 1


@settings(deadline=None, max_examples=25)
@given(rate=st.sampled_from([8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000]), at=st.floats(0.2, 0.8))
def test_resampling_keeps_the_time_of_an_event(rate: int, at: float) -> None:
    t = np.arange(rate) / rate
    burst = np.exp(-(((t - at) / 0.005) ** 2)) * np.sin(2 * np.pi * 1000 * (t - at))
    cuts = np.split(burst.astype(np.float32), range(rate // 50, rate, rate // 50))
    starts = np.cumsum([0, *(cut.size for cut in cuts)])[:-1] / rate
    start, samples = laid([Block(float(s), rate, cut) for s, cut in zip(starts, cuts, strict=True)])
    power = samples.astype(np.float64) ** 2
    assert start + (power * np.arange(power.size)).sum() / power.sum() / SAMPLE_RATE == pytest.approx(at, abs=1e-4)


@needs_ffmpeg
@pytest.mark.parametrize(
    "codec",
    ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s64le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "flac"],
)
def test_levels_are_alike_whatever_the_sample_format(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "clip.mkv"
    ffmpeg("-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*440*t)':s=44100:d=1", "-c:a", codec, path)
    samples = read_sound(path).samples
    assert samples.dtype == np.float32
    assert samples.size == SAMPLE_RATE
    assert np.sqrt((samples[1000:-1000] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@needs_ffmpeg
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "clip.mkv"
    tones = "|".join(["0.5*sin(2*PI*440*t)", *["0"] * (channels - 1)])
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='{tones}':s=16000:d=0.5", "-c:a", "pcm_f32le", path)
    assert np.abs(read_sound(path).samples).max() == pytest.approx(0.5 / channels, rel=0.01)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s of AAC noise beside a picture, in mp4."""
    path = tmp_path_factory.mktemp("noise") / "noise.mp4"
    picture = ["-f", "lavfi", "-i", "color=s=16x16:r=5:d=24"]
    ffmpeg(*picture, "-f", "lavfi", "-i", "anoisesrc=d=24:seed=1:r=48000", "-c:a", "aac", "-c:v", "mpeg4", path)
    return path


@needs_ffmpeg
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
def test_a_part_is_the_same_as_in_the_whole(tmp_path: Path, noise: Path, container: str) -> None:
    path = tmp_path / f"noise.{container}"
    ffmpeg("-i", noise, "-c", "copy", path)
    whole = read_sound(path)
    part = read_sound(path, start=whole.start + 15.5, end=whole.start + 17.25)
    assert part.samples.size == pytest.approx(1.75 * SAMPLE_RATE, abs=1)
    assert part.start == pytest.approx(whole.start + 15.5, abs=1e-4)
    at = round((part.start - whole.start) * SAMPLE_RATE)
    lags = range(-32, 33)
    alike = [np.corrcoef(whole.samples[at + lag :][: part.samples.size], part.samples)[0, 1] for lag in lags]
    assert max(alike) > 0.8, "noise is alike only at its own place"
    assert abs(lags[int(np.argmax(alike))]) <= 8, "half a millisecond, the rounding of Matroska's timestamps"


@needs_ffmpeg
def test_chunks_are_whole_seconds_that_follow_on_one_another(noise: Path) -> None:
    chunks = list(sound_chunks(noise))
    assert [chunk.samples.size for chunk in chunks[:-1]] == [SAMPLE_RATE] * (len(chunks) - 1)
    for i, chunk in enumerate(chunks):
        assert chunk.start == pytest.approx(chunks[0].start + i, abs=1e-9)
    np.testing.assert_array_equal(np.concatenate([c.samples for c in chunks]), read_sound(noise).samples)


@needs_ffmpeg
def test_beyond_the_end_there_is_nothing(noise: Path) -> None:
    assert read_sound(noise, start=100.0, end=101.0).samples.size == 0


@needs_ffmpeg
@pytest.mark.parametrize("track", [1, -1])
def test_a_track_that_is_not_there_is_named(noise: Path, track: int) -> None:
    with pytest.raises(InputError, match=f"no audio track {track}; the file has one audio track, number 0"):
        next(sound_chunks(noise, track=track))
