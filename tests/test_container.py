"""Opening and reading: what cannot be read is said in words, what is damaged is used as far as it goes."""

import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from made_media import H264, ffmpeg, flash_and_beep, needs_ffmpeg, see
from syncnet.container import open_media
from syncnet.errors import InputError
from syncnet.media import frames, probe, read_sound, sound_chunks

READERS: list[Callable[[Path], object]] = [
    probe,
    lambda path: next(frames(path)),
    lambda path: next(sound_chunks(path)),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flash_and_beep(tmp_path_factory.mktemp("clip") / "clip.mp4", H264, "aac", shift=0.12)


@pytest.mark.parametrize("reader", READERS)
def test_missing_file(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        reader(tmp_path / "gone.mp4")


@pytest.mark.parametrize("reader", READERS)
def test_directory(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match="this is a directory"):
        reader(tmp_path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="not a regular file"):
        probe(tmp_path / "pipe.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        probe(path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"x", "not a video or audio file"),
        (b"this is not a video\n" * 50, "not a video or audio file"),
        (bytes(5000), "not a video or audio file"),
        (np.random.default_rng(1).bytes(5000), "not a video or audio file"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n", "not a video or audio file"),
    ],
    ids=["empty", "a letter", "text", "zeros", "noise", "subtitles"],
)
def test_what_is_no_media_file(tmp_path: Path, reader: Callable[[Path], object], content: bytes, says: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        reader(path)


@needs_ffmpeg
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_an_mp4_cut_off_before_its_index(
    tmp_path: Path, clip: Path, kept: float, reader: Callable[[Path], object]
) -> None:
    path = tmp_path / "cut.mp4"
    data = clip.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError, match=r"index \(moov\) is missing or incomplete"):
        reader(path)


@needs_ffmpeg
def test_no_video_and_no_audio(tmp_path: Path, clip: Path) -> None:
    silent, blind = tmp_path / "silent.mp4", tmp_path / "blind.mp4"
    ffmpeg("-i", clip, "-an", "-c", "copy", silent)
    ffmpeg("-i", clip, "-vn", "-c", "copy", blind)
    with pytest.raises(InputError, match="there is no audio stream in this file"):
        next(sound_chunks(silent))
    with pytest.raises(InputError, match="there is no video stream in this file"):
        next(frames(blind))
    assert len(list(frames(silent))) == 63
    assert read_sound(blind).samples.size == pytest.approx(2.5 * 16000, abs=400)


@needs_ffmpeg
def test_the_network_is_not_reached_for(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="not a video or audio file"):
        probe(path)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a:b.mp4", "concat:x|y.mp4", "with space.mp4", "%03d.mp4", "Zürich 東京.mp4"])
def test_names_are_names_and_nothing_else(tmp_path: Path, clip: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(clip.read_bytes())
    assert see(path).shift_ms == pytest.approx(120, abs=2)


@needs_ffmpeg
def test_a_truncated_mkv_is_used_and_told(tmp_path: Path, clip: Path) -> None:
    whole, path = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=128x96:r=25:d=6",
        "-i",
        clip,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:a",
        "copy",
        whole,
    )
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    problems: list[str] = []
    found = list(frames(path, on_problem=problems.append))
    assert 1 < found[-1].time < 5
    assert any("cut off" in problem and "of 6." in problem for problem in problems)
    whole_problems: list[str] = []
    assert len(list(frames(whole, on_problem=whole_problems.append))) == 150
    assert whole_problems == []


@needs_ffmpeg
@pytest.mark.parametrize("container", ["mkv", "ts", "avi", "mp4"])
@pytest.mark.parametrize("seed", range(3))
def test_random_damage_never_breaks_the_reading(tmp_path: Path, clip: Path, container: str, seed: int) -> None:
    path = tmp_path / f"clip.{container}"
    ffmpeg("-i", clip, "-c", "copy", path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(len(data) // 4, len(data), 30):
        data[at] = int(rng.integers(256))
    path.write_bytes(data)
    problems: list[str] = []
    try:
        found = list(frames(path, on_problem=problems.append))
        sound = read_sound(path, on_problem=problems.append)
    except InputError as error:  # a damaged index can leave nothing to read
        assert str(path) in str(error)
        return
    assert np.all(np.diff([frame.time for frame in found]) > 0)
    assert len(found) < 500 and sound.samples.size < 20 * 16000, "no timestamp gone wild may stretch 2.5 s to minutes"


@needs_ffmpeg
def test_transport_streams_joined_end_to_end_stay_in_step(tmp_path: Path, clip: Path) -> None:
    first, second, joined = tmp_path / "first.ts", tmp_path / "second.ts", tmp_path / "joined.ts"
    ffmpeg("-i", clip, "-c", "copy", first)
    ffmpeg("-ss", "0.3", "-i", clip, "-c", "copy", "-output_ts_offset", "100", second)
    joined.write_bytes(b"".join(part.read_bytes() for part in (first, second, first, first, second)))
    shown = [(frame.time, float(frame.luma.mean())) for frame in frames(joined)]
    flashes = [time for time, brightness in shown if brightness > 128]
    sound = read_sound(joined)
    assert len(flashes) == 5
    for flash in flashes:
        at = round((flash + 0.12 - sound.start) * 16000)
        near = np.abs(sound.samples[at - 1600 : at + 1600])
        assert near.max() > 0.3
        assert abs(float((near**2 * np.arange(near.size)).sum() / (near**2).sum()) - 1600) < 0.003 * 16000


@needs_ffmpeg
def test_a_part_of_a_spliced_stream_is_read_on_the_same_clock(tmp_path: Path, clip: Path) -> None:
    part, joined = tmp_path / "part.ts", tmp_path / "joined.ts"
    ffmpeg("-i", clip, "-c", "copy", part)
    joined.write_bytes(part.read_bytes() * 6)
    whole = read_sound(joined)
    late = read_sound(joined, start=whole.start + 12, end=whole.start + 13)
    at = round((late.start - whole.start) * 16000)
    np.testing.assert_array_equal(late.samples, whole.samples[at : at + late.samples.size])
    assert late.samples.size == 16000


@needs_ffmpeg
def test_memory_does_not_grow_with_length(tmp_path: Path, clip: Path) -> None:
    # A stream of pictures holds no more than a few: all but the newest can be collected while it runs.
    path = tmp_path / "long.mkv"
    ffmpeg("-stream_loop", "20", "-i", clip, "-c", "copy", path)
    alive: list[weakref.ref[object]] = []
    most = 0
    for frame in frames(path):
        alive.append(weakref.ref(frame.luma))
        most = max(most, sum(ref() is not None for ref in alive))
    assert len(alive) > 1000
    assert most <= 3


@needs_ffmpeg
def test_files_are_closed(clip: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        reading = frames(clip)
        assert next(reading).time == 0
        reading.close()  # type: ignore[attr-defined]
        with open_media(clip) as container:
            assert len(container.streams.video) == 1
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after <= before + 1
