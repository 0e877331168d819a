"""The clock, proved on files by the ffmpeg program: a flash and a beep must be read as far apart as they were made."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from made_media import FLASH_S, H264, VP9, beep, ffmpeg, flash, flash_and_beep, needs_ffmpeg, picture_times, see
from syncnet.media import frames, probe, read_sound

pytestmark = needs_ffmpeg

WITHIN_MS = 2.0
PRORES = "prores_ks -profile:v 0"
MJPEG = "mjpeg -pix_fmt yuvj420p"
HEVC = "libx265 -preset ultrafast -x265-params log-level=error:bframes=3 -pix_fmt yuv420p"
VP8 = "libvpx -deadline realtime -cpu-used 8 -b:v 200k"

CODECS = [
    ("mp4", H264, "aac"),
    ("mp4", H264, "libmp3lame"),
    ("mp4", H264, "ac3"),
    ("mp4", H264, "libopus -ar 48000"),
    ("mp4", HEVC, "aac"),
    ("mp4", "mpeg4 -bf 2", "aac"),
    ("mov", H264, "aac"),
    ("mov", PRORES, "pcm_s16le"),
    ("mov", MJPEG, "pcm_s24le"),
    ("mkv", H264, "aac"),
    ("mkv", H264, "libmp3lame"),
    ("mkv", H264, "ac3"),
    ("mkv", H264, "flac"),
    ("mkv", HEVC, "libopus -ar 48000"),
    ("mkv", "mpeg4 -bf 2", "libvorbis"),
    ("webm", VP8, "libvorbis"),
    ("webm", VP9, "libvorbis"),
    ("webm", VP9, "libopus -ar 48000"),
    ("webm", VP9, "libopus -ar 24000"),
    ("avi", MJPEG, "pcm_s16le"),
    ("avi", "mpeg4", "pcm_s16le"),
    ("avi", "mpeg4 -bf 2", "pcm_s16le"),
    ("avi", H264, "pcm_s16le"),
    ("ts", H264, "aac"),
    ("ts", H264, "libmp3lame"),
    ("ts", H264, "ac3"),
    ("ts", HEVC, "aac"),
    ("ts", H264, "libopus -ar 48000"),
    ("ts", "mpeg2video -bf 2", "mp2"),
    ("ts", "mpeg2video -bf 2", "ac3"),
    ("mpg", "mpeg2video -bf 2", "mp2"),
    ("flv", H264, "aac"),
    ("wmv", "wmv2", "wmav2"),
    ("ogv", "libtheora", "libvorbis"),
    ("mxf", "mpeg2video", "pcm_s16le -ar 48000"),
]


@pytest.mark.parametrize(("shift"), [-0.25, 0.12])
@pytest.mark.parametrize(("container", "video", "audio"), CODECS)
def test_known_shift_in_every_container_and_codec(
    tmp_path: Path, container: str, video: str, audio: str, shift: float
) -> None:
    seen = see(flash_and_beep(tmp_path / f"clip.{container}", video, audio, shift=shift))
    assert seen.shift_ms == pytest.approx(shift * 1e3, abs=WITHIN_MS)
    assert seen.problems == ()


@pytest.mark.parametrize(("audio", "fps"), [("aac", Fraction(48000, 1024)), ("libmp3lame", Fraction(48000, 1152))])
def test_encoder_delay_in_avi_where_the_frame_rate_can_carry_it(tmp_path: Path, audio: str, fps: Fraction) -> None:
    # AVI has no start times: ffmpeg makes room for the delay of a sound codec by whole pictures, exact only where
    # one picture lasts as long as one packet of sound.
    flash_at = float(48 / fps)
    path = flash_and_beep(
        tmp_path / "clip.avi", "mpeg4", audio, shift=0.12, fps=str(fps), flash_at=flash_at, rate=48000
    )
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("fps", ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "12", "100"])
def test_every_frame_rate(tmp_path: Path, fps: str, container: str) -> None:
    flash_at = round(FLASH_S * float(Fraction(fps))) / float(Fraction(fps))
    path = flash_and_beep(tmp_path / f"clip.{container}", H264, "aac", shift=0.12, fps=fps, flash_at=flash_at)
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert probe(path).video[0].fps == pytest.approx(float(Fraction(fps)), rel=0.01)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm", "ts"])
def test_variable_frame_rate(tmp_path: Path, container: str) -> None:
    video, audio = (VP9, "libopus -ar 48000") if container == "webm" else (H264, "aac")
    picked = "select='not(mod(n,5))+not(mod(n,7))+between(n,50,52)'"
    path = tmp_path / f"clip.{container}"
    source = ["-f", "lavfi", "-i", f"{flash(fps='50')},{picked}", "-f", "lavfi", "-i", beep(FLASH_S - 0.2)]
    ffmpeg(*source, "-fps_mode", "vfr", "-c:v", *video.split(), "-c:a", *audio.split(), path)
    gaps = {round(b - a, 2) for (a, _), (b, _) in zip(picture_times(path), picture_times(path)[1:], strict=False)}
    assert len(gaps) > 3, "the file should have pictures of several lengths"
    assert see(path).shift_ms == pytest.approx(-200, abs=WITHIN_MS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with B-frames and AAC, the beep 120 ms after the flash."""
    return flash_and_beep(tmp_path_factory.mktemp("source") / "source.mp4", H264, "aac", shift=0.12)


@pytest.mark.parametrize("delay", [0.3, -0.3, 5.0])
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts", "flv"])
def test_a_stream_that_starts_late_or_before_the_other(
    tmp_path: Path, source: Path, container: str, delay: float
) -> None:
    path = tmp_path / f"late.{container}"
    ffmpeg("-i", source, "-itsoffset", str(delay), "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    assert see(path).shift_ms == pytest.approx(120 + delay * 1e3, abs=WITHIN_MS)


@pytest.mark.parametrize("container", ["mkv", "webm", "ts"])
def test_a_clock_that_does_not_start_at_0_is_no_cut_off_file(tmp_path: Path, container: str) -> None:
    video, audio = (VP9, "libvorbis") if container == "webm" else (H264, "aac")
    made = flash_and_beep(tmp_path / f"made.{container}", video, audio, shift=0.12)
    path = tmp_path / f"later.{container}"
    ffmpeg("-i", made, "-c", "copy", "-output_ts_offset", "3.217", path)
    seen = see(path)
    assert seen.shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert seen.flash > FLASH_S + 3 and seen.problems == ()


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_cut_without_encoding(tmp_path: Path, source: Path, container: str, place: str) -> None:
    # At 0.51 s, inside a picture and a packet of sound: in mp4 and mov by an edit list.
    path = tmp_path / f"cut.{container}"
    cut = ["-ss", "0.51"]
    ffmpeg(*(cut if place == "before" else []), "-i", source, *(cut if place == "after" else []), "-c", "copy", path)
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)


def test_what_an_edit_list_cuts_away_is_not_shown(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "cut.mp4"
    ffmpeg("-ss", "0.51", "-t", "1", "-i", source, "-c", "copy", path)
    info = probe(path)
    assert info.video[0].start == 0 and info.audio[0].start == 0
    times = [frame.time for frame in frames(path)]
    assert times[0] == pytest.approx(0.01, abs=1e-6), "the first picture that starts within the cut, at 0.52 s"
    sound = read_sound(path)
    assert sound.start == pytest.approx(0, abs=1e-4)
    assert info.audio[0].duration == pytest.approx(sound.samples.size / 16000, abs=1e-3)


@pytest.mark.parametrize(("container", "audio"), [("mp4", "libmp3lame"), ("mp4", "ac3"), ("mov", "pcm_s16le")])
def test_the_sound_before_and_after_an_edit_is_cut_to_the_sample(tmp_path: Path, container: str, audio: str) -> None:
    whole, path = tmp_path / f"whole.{container}", tmp_path / f"cut.{container}"
    flash_and_beep(whole, H264, audio, shift=0.12)
    ffmpeg("-ss", "0.51", "-i", whole, "-c", "copy", path)
    data = bytearray(path.read_bytes())
    at = data.find(b"elst")
    while at > 0:  # every track's one edit: show 800 ms of it
        assert struct.unpack_from(">I", data, at + 8) == (1,)
        struct.pack_into(">I", data, at + 12, 800)
        at = data.find(b"elst", at + 4)
    path.write_bytes(data)
    sound = read_sound(path)
    assert sound.start == pytest.approx(0, abs=1e-4)
    assert sound.samples.size == pytest.approx(0.8 * 16000, abs=1)
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert [frame.time for frame in frames(path)][-1] < 0.8


@pytest.mark.parametrize(
    "flags", ["faststart", "frag_keyframe+empty_moov", "frag_keyframe+delay_moov", "dash", "negative_cts_offsets"]
)
def test_layouts_of_mp4(tmp_path: Path, source: Path, flags: str) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg("-i", source, "-c", "copy", "-movflags", flags, path)
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)


def test_mp4_without_edit_list(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg("-i", source, "-c", "copy", "-use_editlist", "0", path)
    assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_several_audio_tracks(tmp_path: Path, source: Path, container: str) -> None:
    path = tmp_path / f"two.{container}"
    second = ["-f", "lavfi", "-i", beep(0.7, rate=48000)]
    languages = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"]
    ffmpeg("-i", source, *second, "-map", "0:v", "-map", "0:a", "-map", "1:a", "-c:v", "copy", *languages, path)
    assert [track.language for track in probe(path).audio] == ["eng", "fra"]
    assert [track.rate for track in probe(path).audio] == [44100, 48000]
    assert see(path, track=0).shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert see(path, track=1).shift_ms == pytest.approx(-300, abs=WITHIN_MS)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "flv"])
def test_lost_packets_leave_the_clock_alone(tmp_path: Path, source: Path, container: str) -> None:
    no_sound, no_picture = tmp_path / f"sound.{container}", tmp_path / f"picture.{container}"
    ffmpeg("-i", source, "-c", "copy", "-bsf:a", "noise=drop='between(n,10,25)'", no_sound)
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", "noise=drop='between(n,2,9)'", no_picture)
    assert see(no_sound).shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert see(no_picture).shift_ms == pytest.approx(120, abs=WITHIN_MS)
    assert len(picture_times(no_picture)) < len(picture_times(source))


def test_old_opus_in_matroska_is_put_right_and_new_is_left_alone(tmp_path: Path) -> None:
    # The ffmpeg program here may be of either kind; the library in PyAV writes CodecDelay as it should.
    with av.open(str(tmp_path / "new.mkv"), "w") as new:
        video = new.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = new.add_stream("libopus", rate=48000, layout="mono")
        for n in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64), 255 if n == 25 else 0, np.uint8), "gray")
            picture.pts, picture.time_base = n, Fraction(1, 25)
            new.mux(video.encode(picture))
            t = np.arange(1920 * n, 1920 * (n + 1)) / 48000
            burst = 0.7 * np.exp(-(((t - 1.12) / 0.01) ** 2)) * np.sin(2 * np.pi * 1000 * (t - 1.12))
            sound = av.AudioFrame.from_ndarray(burst.astype(np.float32)[None], "flt", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, 1920 * n, Fraction(1, 48000)
            new.mux(audio.encode(sound))
        new.mux(video.encode(None))
        new.mux(audio.encode(None))
    assert see(tmp_path / "new.mkv").shift_ms == pytest.approx(120, abs=WITHIN_MS)
    for rate in ("48000", "24000", "16000", "8000"):
        path = flash_and_beep(tmp_path / "clip.webm", VP9, f"libopus -ar {rate}", shift=0.12)
        assert see(path).shift_ms == pytest.approx(120, abs=WITHIN_MS), rate


def test_probe_names_streams_and_leaves_cover_art_out(tmp_path: Path, source: Path) -> None:
    cover, path = tmp_path / "cover.png", tmp_path / "clip.mp4"
    ffmpeg("-i", source, "-frames:v", "1", cover)
    ffmpeg("-i", source, "-i", cover, "-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic", path)
    info = probe(path)
    assert info.path == path and "mp4" in info.container
    assert info.duration == pytest.approx(2.5, abs=0.05)
    (video,), (audio,) = info.video, info.audio
    assert (video.codec, video.width, video.height, video.rotation, video.fps) == ("h264", 64, 64, 0, 25.0)
    assert (audio.codec, audio.rate, audio.channels) == ("aac", 44100, 1)
    assert video.duration == pytest.approx(2.5, abs=0.05) and audio.duration == pytest.approx(2.5, abs=0.05)
    assert len(list(frames(path))) == 63


def test_durations_in_matroska_come_from_its_tags(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "clip.mkv"
    ffmpeg("-i", source, "-c", "copy", path)
    assert probe(path).video[0].duration == pytest.approx(2.5, abs=0.1)
