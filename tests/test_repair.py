"""Repairs, their truth taken from the sound itself and from packets, never from a network."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import AttachmentStream

from repair_media import (
    CONTAINERS,
    RATE,
    SECONDS,
    ffmpeg,
    late_by,
    lateness,
    make,
    measured,
    packets,
    reference,
    write_wav,
)
from syncnet.errors import InputError, NoAnswer
from syncnet.media import probe, read_sound
from syncnet.repair import FixResult, Measure, NotBetter, repair
from syncnet.source_sound import track_format
from syncnet.timeline import Segment, Timeline, constant

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program makes the media")
FRAME_S = 0.04


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if ".part" in p.name)


def decodes_quietly(path: Path) -> str:
    return ffmpeg("-v", "warning", "-i", path, "-f", "null", "-")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("late_ms", [160.0, -640.0])
def test_samples(tmp_path: Path, container: str, late_ms: float) -> None:
    source = make(tmp_path, container, late_by(late_ms))
    assert lateness(source) == pytest.approx(late_ms, abs=2 if container != "avi" else 30)
    out = tmp_path / f"fixed.{container}"
    result = repair(source, out, measure=measured)
    assert result.outcome == "repaired"
    assert lateness(out) == pytest.approx(0.0, abs=2)
    assert result.misplaced_ms == pytest.approx(0.0, abs=2)
    assert packets(out, 0).digest == packets(source, 0).digest
    assert packets(out, 0).count == round(SECONDS * 25)
    before, after = probe(source), probe(out)
    assert after.duration == pytest.approx(before.duration, abs=FRAME_S)
    assert [s.codec for s in after.audio] == [s.codec for s in before.audio]
    assert (after.audio[0].rate, after.audio[0].channels) == (before.audio[0].rate, before.audio[0].channels)
    assert track_format(out, 0).bit_rate >= 0.9 * track_format(source, 0).bit_rate
    assert decodes_quietly(out) == ""
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts", "webm"])
@pytest.mark.parametrize("late_ms", [160.0, -640.0])
def test_timestamps(tmp_path: Path, container: str, late_ms: float) -> None:
    source = make(tmp_path, container, late_by(late_ms))
    out = tmp_path / f"fixed.{container}"
    result = repair(source, out, mode="timestamps", measure=measured)
    assert lateness(out) == pytest.approx(0.0, abs=2)
    for index in (0, 1):
        kept, was = packets(out, index, ignore_editlist="1"), packets(source, index, ignore_editlist="1")
        assert (kept.digest, kept.count) == (was.digest, was.count)
    assert decodes_quietly(out) == ""
    assert result.plan is not None
    assert any("ignore" in words for words in result.plan.words)


def test_sound_keeps_its_loudness(tmp_path: Path) -> None:
    for container in ("mp4", "mkv", "ts"):
        source = make(tmp_path, container, late_by(200))
        out = tmp_path / f"fixed.{container}"
        repair(source, out, measure=measured)
        before, after = read_sound(source, start=2.5, end=6.0).samples, read_sound(out, start=2.3, end=5.8).samples
        assert 20 * np.log10(np.std(after) / np.std(before)) == pytest.approx(0, abs=0.15)


def test_lossless_samples_are_the_same_bits(tmp_path: Path) -> None:
    source = make(tmp_path, "mov", late_by(100))
    out = tmp_path / "fixed.mov"
    repair(source, out, offset_ms=100.0, measure=measured)

    def bits(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])

    moved = 2 * round(0.1 * RATE)
    assert np.array_equal(bits(out)[:-moved], bits(source)[moved:])
    assert not bits(out)[-moved:].any()


def rich_mkv(folder: Path) -> Path:
    """Two sound tracks, subtitles, chapters, an attachment, titles and dispositions."""
    base = make(folder, "mkv", late_by(200))
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=A talk\nARTIST=Somebody\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=6000\ntitle=Two\n"
    )
    lines = ("1", "00:00:01,000 --> 00:00:02,000", "Hello", "", "2", "00:00:03,000 --> 00:00:04,500", "World", "")
    (folder / "words.srt").write_text("\n".join(lines))
    other = write_wav(folder / "other.wav", reference()[:1, : 6 * RATE] * 0.5)
    inputs = ("-i", base, "-i", other, "-i", folder / "words.srt", "-i", folder / "chapters.txt")
    maps = "-map 0:v -map 0:a -map 1:a -map 2 -map_metadata 3 -map_chapters 3 -c copy -c:a:1 ac3".split()
    tags = "-metadata:s:a:0 language=deu -metadata:s:a:0 title=Ton -metadata:s:a:1 language=eng"
    flags = "-disposition:a:0 default+original -disposition:a:1 comment -disposition:s:0 forced"
    (folder / "letters.ttf").write_bytes(bytes(range(256)))
    attached = ("-attach", folder / "letters.ttf", "-metadata:s:t", "mimetype=application/x-truetype-font")
    path = folder / "rich.mkv"
    ffmpeg("-v", "error", *inputs, *maps, *tags.split(), *flags.split(), *attached, path)
    return path


@pytest.mark.parametrize("mode", ["samples", "timestamps"])
def test_everything_else_is_kept_in_matroska(tmp_path: Path, mode: str) -> None:
    source = rich_mkv(tmp_path)
    out = tmp_path / "fixed.mkv"
    result = repair(source, out, mode=mode, measure=measured)  # type: ignore[arg-type]
    assert result.notes == ()
    moved = 0.0
    if mode == "timestamps":  # Matroska has no times before zero: all else is moved later
        moved = packets(out, 0).times[0] - packets(source, 0).times[0]
        assert 0.15 < moved <= 0.2
    with av.open(str(source)) as was, av.open(str(out)) as now:
        assert [s.type for s in now.streams] == [s.type for s in was.streams]
        for old, new in zip(was.streams, now.streams, strict=True):
            assert new.language == old.language
            assert new.disposition == old.disposition
            assert new.metadata.get("title") == old.metadata.get("title")
        assert (now.metadata["title"], now.metadata["ARTIST"]) == ("A talk", "Somebody")
        chapters = {c["metadata"]["title"]: float(c["start"] * (c["time_base"] or 0)) for c in now.chapters()}
        assert chapters == pytest.approx({"One": moved, "Two": 2.0 + moved}, abs=0.01)
        attachment = now.streams[4]
        assert isinstance(attachment, AttachmentStream)
        assert attachment.metadata["filename"] == "letters.ttf"
        assert attachment.data == bytes(range(256))
    for index in (0, 2, 3):
        kept, old_packets = packets(out, index), packets(source, index)
        assert (kept.digest, kept.count) == (old_packets.digest, old_packets.count)
        assert np.allclose(kept.times, np.array(old_packets.times) + moved, atol=0.0015)
    if mode == "timestamps":
        assert packets(out, 1).digest == packets(source, 1).digest
    assert lateness(out) == pytest.approx(0, abs=2)
    assert decodes_quietly(out) == ""


def test_everything_else_is_kept_in_mp4(tmp_path: Path) -> None:
    mkv = rich_mkv(tmp_path)
    source = tmp_path / "rich.mp4"
    maps = "-map 0:v -map 0:a -map 0:s -c:v copy -c:a aac -c:s mov_text -movflags +faststart"
    ffmpeg("-v", "error", "-i", mkv, *maps.split(), "-metadata", "creation_time=2024-05-06T07:08:09Z", source)
    out = tmp_path / "fixed.mp4"
    result = repair(source, out, measure=measured)
    assert result.notes == ()
    with av.open(str(source)) as was, av.open(str(out)) as now:
        assert [s.type for s in now.streams] == [s.type for s in was.streams]
        assert [s.language for s in now.streams] == [s.language for s in was.streams]
        assert [c["metadata"]["title"] for c in now.chapters()] == ["One", "Two"]
        assert now.metadata["title"] == "A talk"
        assert now.metadata["creation_time"] == was.metadata["creation_time"]
    for index in (0, 2, 3):
        assert packets(out, index).digest == packets(source, index).digest
        assert np.allclose(packets(out, index).times, packets(source, index).times, atol=0.0015)
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # as in the original
    assert decodes_quietly(out) == ""


def timeline(*bands: tuple[float, float, float, float]) -> Timeline:
    segments = tuple(Segment(a, b, m, n, (m, n), 5.0, 9) for a, b, m, n in bands)
    rate = (segments[0].end_ms - segments[0].start_ms) / (segments[0].end_s - segments[0].start_s) * 60
    drift = len(segments) == 1 and rate != 0
    kind = "drift" if drift else "steps"
    return Timeline(kind, bands[0][0], bands[-1][1], segments, rate_ms_per_min=rate if drift else 0.0)  # type: ignore[arg-type]


def then_in_sync(first: Timeline) -> "list[Timeline]":
    return [first, constant(0.0, first.start_s, first.end_s)]


def test_steps(tmp_path: Path) -> None:
    source = make(tmp_path, "mkv", np.concatenate([late_by(300)[:, : 3 * RATE], late_by(-150)[:, 3 * RATE :]], axis=1))
    answers = then_in_sync(timeline((0, 3, 300, 300), (3, 6, -150, -150)))
    out = tmp_path / "fixed.mkv"
    result = repair(source, out, measure=lambda path, on_time: answers.pop(0))
    assert "stretches" in result.words
    assert lateness(out, 0.0, 2.9) == pytest.approx(0, abs=3)
    assert lateness(out, 3.1, 2.6) == pytest.approx(0, abs=3)
    assert packets(out, 0).digest == packets(source, 0).digest


def test_drift(tmp_path: Path) -> None:
    rate = 0.004 * 60e3  # 240 ms a minute: above what is resampled, so the pitch is kept
    there = np.arange(round(SECONDS * RATE)) / RATE
    for speed, name in ((0.0016, "resampling"), (rate / 60e3, "pitch kept")):
        heard_at = 2 + (there - 0.1) / (1 + speed)
        sound = np.stack([np.interp(heard_at * RATE, np.arange(reference().shape[1]), c) for c in reference()])
        source = make(tmp_path, "mp4", sound)
        slope = 1e3 * speed / (1 + speed)
        answers = then_in_sync(timeline((0, 6, 100 - 100 * speed, 100 + 6 * slope * (1 + speed))))
        out = tmp_path / "fixed.mp4"
        result = repair(source, out, measure=lambda path, on_time, answers=answers: answers.pop(0))  # type: ignore[misc]
        assert result.plan is not None
        assert name in result.words
        for start in (0.5, 2.5, 4.0):
            assert lateness(out, start, 1.5) == pytest.approx(0, abs=12 if name == "pitch kept" else 3)


def test_plays_from_the_start_of_the_clock_in_opus(tmp_path: Path) -> None:
    """Sound that begins with the first picture at time 0: Opus has its pre-skip before zero."""
    source = tmp_path / "made.mkv"
    wav = write_wav(tmp_path / "s.wav", late_by(-200))
    with av.open(str(source), "w") as out, av.open(str(wav)) as sound:
        stream = out.add_stream("libx264", rate=25, width=64, height=48)
        track = out.add_stream("flac", rate=RATE)
        for k in range(150):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), k, np.uint8), format="gray").reformat(format="yuv420p")
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for heard in sound.decode(audio=0):
            out.mux(track.encode(heard))
        out.mux(track.encode(None))
    fixed = tmp_path / "fixed.mkv"
    repair(source, fixed, measure=measured, codec="opus")
    assert probe(fixed).audio[0].codec in ("opus", "libopus")
    assert lateness(fixed) == pytest.approx(0, abs=2)
    assert packets(fixed, 0).times[0] == pytest.approx(packets(source, 0).times[0], abs=0.0075)


def test_a_codec_without_an_encoder(tmp_path: Path) -> None:
    source = make(tmp_path, "mkv", late_by(200), codec="-c:a dca -strict -2 -b:a 768k")
    out = tmp_path / "fixed.mkv"
    result = repair(source, out, measure=measured)
    assert "since FFmpeg has no good encoder for dts" in result.words
    assert lateness(out) == pytest.approx(0, abs=2)
    with pytest.raises(InputError, match="cannot be coded as truehd"):
        repair(source, out, measure=measured, codec="truehd")


def test_dialogue_level_of_dolby_is_kept(tmp_path: Path) -> None:
    source = make(tmp_path, "ts", late_by(200), codec="-c:a ac3 -b:a 192k -dialnorm -22")
    out = tmp_path / "fixed.ts"
    repair(source, out, measure=measured)
    assert ("dialnorm", "-22") in track_format(out, 0).dolby
    assert track_format(out, 0).codec == "ac3"


def test_another_container(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(200))
    out = tmp_path / "fixed.mkv"
    repair(source, out, measure=measured)
    assert lateness(out) == pytest.approx(0, abs=2)
    with pytest.raises(InputError, match=r"\.mp4 or \.mkv"):
        repair(source, tmp_path / "fixed.talk", measure=measured)
    webm = tmp_path / "fixed.webm"
    with pytest.raises(InputError, match="cannot hold"):
        repair(source, webm, measure=measured)
    assert not webm.exists()
    assert leftovers(tmp_path) == []


def test_not_better_is_not_kept(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(100))
    out = tmp_path / "fixed.mp4"
    with pytest.raises(NotBetter, match="not better"):
        repair(source, out, offset_ms=-300.0, measure=measured)
    with pytest.raises(NotBetter, match="no offset could be measured"):
        answers = [constant(100, 0, 6), Timeline("undecided", 0, 6, reasons=("no face",))]
        repair(source, out, measure=lambda path, on_time: answers.pop(0))
    assert NotBetter.exit_code == 1
    assert not out.exists()
    assert leftovers(tmp_path) == []


def test_a_better_result_that_is_not_in_sync_is_not_trusted(tmp_path: Path) -> None:
    source, out = make(tmp_path, "mp4", late_by(250)), tmp_path / "fixed.mp4"
    stepping = timeline((0, 3, 10, 10), (3, 6, 90, 90))

    def answers(after: Timeline) -> Measure:
        left = [constant(250, 0, 6), after]
        return lambda path, on_time: left.pop(0)

    result = repair(source, out, measure=answers(stepping))
    assert out.exists() and not result.trusted
    assert "does not measure as in sync throughout" in result.reasons[-1]
    assert "Not to be trusted" in result.words
    assert not repair(source, out, measure=answers(constant(60, 0, 6))).trusted
    assert repair(source, out, measure=answers(constant(30, 0, 6))).trusted
    unsure = replace(constant(10, 0, 6), kind="in sync", reasons=("from 0:00.0 to 1:00.0 something is left",))
    assert repair(source, out, measure=answers(unsure)).reasons == unsure.reasons
    before = source.read_bytes()
    with pytest.raises(NotBetter, match="not replaced"):
        repair(source, in_place=True, measure=answers(stepping))
    assert source.read_bytes() == before
    assert leftovers(tmp_path) == []


def test_nothing_to_repair_and_nothing_to_go_by(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(0))
    out = tmp_path / "fixed.mp4"
    result = repair(source, out, measure=measured)
    assert (result.outcome, result.target) == ("already in sync", None)
    unsure = Timeline("undecided", 0, 6, reasons=("no face was found",))
    with pytest.raises(NoAnswer, match="no face was found"):
        repair(source, out, measure=lambda path, on_time: unsure)
    assert not out.exists()


def test_an_unsure_answer_is_followed_only_when_told_and_never_trusted(tmp_path: Path) -> None:
    source, out = make(tmp_path, "mp4", late_by(250)), tmp_path / "fixed.mp4"
    doubtful = replace(constant(250, 0, 6), reasons=("the windows disagree",))

    def answers() -> Measure:
        left = [doubtful, constant(0, 0, 6)]
        return lambda path, on_time: left.pop(0)

    with pytest.raises(NoAnswer, match="--unsure"):
        repair(source, out, measure=answers())
    assert not out.exists()
    result = repair(source, out, measure=answers(), unsure=True)
    assert out.exists() and result.reasons == doubtful.reasons and not result.trusted
    assert abs(measured(out, None).offset_ms or 0.0) < 20
    planned = repair(source, measure=answers(), unsure=True, dry_run=True)
    assert planned.outcome == "planned" and not planned.trusted
    with pytest.raises(NoAnswer, match="-o OUT"):
        repair(source, in_place=True, measure=answers(), unsure=True)


def test_forced_offset_and_dry_run(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    out = tmp_path / "fixed.mp4"
    planned = repair(source, out, measure=measured, dry_run=True)
    assert planned.outcome == "planned"
    assert "250 ms earlier" in planned.words
    assert "aac" in planned.words
    assert not out.exists()

    def never(path: Path, on_time: object) -> Timeline:
        raise AssertionError("not asked for")

    repair(source, out, offset_ms=250.0, verify=False, measure=never)
    assert lateness(out) == pytest.approx(0, abs=2)


def test_in_place(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    source.chmod(0o640)
    for same in (source, link):
        with pytest.raises(InputError, match="--in-place"):
            repair(source, same, measure=measured)
    with pytest.raises(InputError, match="-o OUT"):
        repair(source, measure=measured)
    result = repair(source, in_place=True, measure=measured)
    assert result.target == source
    assert lateness(source) == pytest.approx(0, abs=2)
    assert source.stat().st_mode & 0o777 == 0o640
    assert leftovers(tmp_path) == []


def test_steps_need_samples(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    stepping = timeline((0, 3, 300, 300), (3, 6, -150, -150))
    with pytest.raises(InputError, match="--mode samples"):
        repair(source, tmp_path / "o.mp4", mode="timestamps", measure=lambda path, on_time: stepping)


def test_bad_targets_and_sources(tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    with pytest.raises(InputError, match="missing or not writable"):
        repair(source, tmp_path / "nowhere" / "o.mp4", measure=measured)
    with pytest.raises(InputError, match="directory"):
        repair(source, tmp_path, measure=measured)
    with pytest.raises(InputError, match="no audio track 3"):
        repair(source, tmp_path / "o.mp4", audio_track=3, measure=measured)
    mute = tmp_path / "mute.mp4"
    ffmpeg("-v", "error", "-i", source, "-an", "-c", "copy", mute)
    with pytest.raises(InputError, match="no sound"):
        repair(mute, tmp_path / "o.mp4", measure=measured)


RUN = """
import resource, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from syncnet.errors import SyncNetError
from syncnet.repair import repair
from syncnet.timeline import constant
import syncnet.repair, time
if sys.argv[4] == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
else:
    write = syncnet.repair.write_copy
    def slow(*args, **kwargs):
        told = kwargs["on_time"]
        kwargs["on_time"] = lambda t: (told(t), print("at", t, flush=True), time.sleep(0.2))
        return write(*args, **kwargs)
    syncnet.repair.write_copy = slow
try:
    repair(sys.argv[1], sys.argv[2], measure=lambda p, t: constant(200, 0, 6), on_progress=lambda *a: None)
except SyncNetError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def run_fix(source: Path, out: Path, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, str(source), str(out), str(Path(__file__).parents[1] / "src"), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_no_room(tmp_path: Path) -> None:
    source = make(tmp_path, "mov", late_by(250))
    before = source.read_bytes()
    out = tmp_path / "fixed.mov"
    process = run_fix(source, out, "full")
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "could not be written" in said
    assert "Traceback" not in errors
    assert not out.exists()
    assert leftovers(tmp_path) == []
    assert source.read_bytes() == before


def test_killed_in_the_middle(tmp_path: Path) -> None:
    source = make(tmp_path, "mov", late_by(250))
    before = source.read_bytes()
    out = tmp_path / "fixed.mov"
    with run_fix(source, out, "slow") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("at 2"):
                break
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert source.read_bytes() == before
    assert leftovers(tmp_path) == [".fixed.part.mov"]  # hidden, and overwritten by the next attempt
    result: FixResult = repair(source, out, measure=measured)
    assert result.target == out
    assert leftovers(tmp_path) == []
