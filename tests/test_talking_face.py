"""The drawn person: the same every time, at the promised offset, lips that follow the sound, and found as a face."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import face_speech
from clips import OFFSET_MS, SEED, TEXT
from face_drawing import Face, Mouth, Pose, lip_shape
from face_layers import MOUTH_Y, make_look
from face_motion import VISEMES, make_manner, mouths, visemes_of
from face_speech import LANGUAGES, Phone, Voice, say
from syncnet.faces import Face as FoundFace
from syncnet.faces import FaceFinder, FaceFollower
from talking_face import RATE, Scene, make, perform, write_movie

needs_voice = pytest.mark.skipif(
    not face_speech.available(), reason="needs espeak-ng (apt-get install espeak-ng, or pip install espeakng-loader)"
)


def heard(path: Path) -> tuple[float, NDArray[np.float32]]:
    """Presentation time of the first sample, and the samples (N,) at RATE."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return float(frames[0].time or 0.0), np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])


def lag(later: NDArray[np.float32], earlier: NDArray[np.float32]) -> int:
    """Samples by which the one follows the other."""
    size = 1 << int(np.ceil(np.log2(len(later) + len(earlier))))
    both = np.fft.irfft(np.fft.rfft(later, size) * np.conj(np.fft.rfft(earlier, size)), size)
    best = int(np.argmax(both))
    return best - size if best > size // 2 else best


@needs_voice
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make(tmp_path / name, seconds=1.5, seed=5, offset_ms=-80)
    make(tmp_path / "other.mp4", seconds=1.5, seed=6, offset_ms=-80)
    first = (tmp_path / "a.mp4").read_bytes()
    assert first == (tmp_path / "b.mp4").read_bytes()
    assert first != (tmp_path / "other.mp4").read_bytes()


@needs_voice
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".ts"])
@pytest.mark.parametrize("offset_ms", [187.0, -400.0])
def test_sound_is_moved_by_exactly_the_offset(tmp_path: Path, suffix: str, offset_ms: float) -> None:
    plain = perform(Scene(seconds=2, seed=4)).samples
    clip = make(tmp_path / f"x{suffix}", seconds=2, seed=4, offset_ms=offset_ms)
    start, samples = heard(clip.path)
    with av.open(str(clip.path)) as container:
        begin = float(next(container.decode(video=0)).time or 0.0)
    assert plain is not None
    found_ms = 1000 * (start - begin + lag(samples, plain) / RATE)
    assert found_ms == pytest.approx(offset_ms, abs=1.0)


@needs_voice
def test_the_picture_does_not_depend_on_the_offset(clip: Callable[[str], Path]) -> None:
    def film(path: Path) -> NDArray[np.uint8]:
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])

    assert np.array_equal(film(clip("talking")), film(clip("late")))
    assert OFFSET_MS != 0


@needs_voice
def test_lips_part_where_the_voice_is_loud() -> None:
    done = perform(Scene(seconds=12, seed=SEED, language="en-us"))
    assert done.samples is not None
    hop = RATE // 100
    power = np.sqrt(np.mean(done.samples[: len(done.samples) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    smooth = np.convolve(power, np.hanning(9) / np.hanning(9).sum(), mode="same")
    gap = np.interp(np.arange(len(smooth)) / 100, done.clip.times, done.clip.gap)
    scores = [np.corrcoef(gap[100:-100], np.roll(smooth, -shift)[100:-100])[0, 1] for shift in range(-50, 51)]
    best = int(np.argmax(scores)) - 50
    assert max(scores) > 0.45
    assert 0 <= best <= 10  # hundredths of a second: lips part a little before the sound, as they do in nature


@needs_voice
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(1)])
def test_the_same_movement_at_any_frame_rate(fps: Fraction) -> None:
    slow = perform(Scene(seconds=4, seed=2, fps=fps)).clip
    fast = perform(Scene(seconds=4, seed=2, fps=Fraction(100))).clip
    assert len(slow.times) == round(4 * fps)
    assert slow.times == pytest.approx(np.arange(len(slow.times)) / float(fps))
    away = np.abs(np.interp(slow.times, fast.times, fast.gap) - slow.gap)
    assert np.median(away) < 0.01
    assert float(np.ptp(fast.gap)) > 0.1


@needs_voice
def test_written_frames_stand_at_their_times(clip: Callable[[str], Path]) -> None:
    with av.open(str(clip("ntsc"))) as container:
        times = np.array([float(frame.time or 0) for frame in container.decode(video=0)])
    assert times == pytest.approx(np.arange(180) * 1001 / 30000, abs=1e-4)


@needs_voice
def test_phones_cover_the_speech_and_stops_are_shut_before_their_burst() -> None:
    speech = say("A potato saw Bob.", Voice())
    assert speech.phones[0].start == 0
    assert speech.phones[-1].end == pytest.approx(len(speech.samples) / speech.rate, abs=1e-3)
    for one, following in zip(speech.phones, speech.phones[1:], strict=False):
        assert one.end == pytest.approx(following.start)
        assert one.start <= one.release <= one.end
    stop = next(phone for phone in speech.phones if phone.symbol == "p")
    closure = speech.samples[round((stop.start + 0.008) * speech.rate) : round((stop.release - 0.005) * speech.rate)]
    assert stop.release - stop.start > 0.03
    assert np.abs(closure).max() < 0.1 * np.abs(speech.samples).max()


@needs_voice
def test_every_language_speaks_sounds_that_have_a_shape() -> None:
    marks = set("ːˑʲʰʷˠ̩̝̪̥̯̃̊͡ˈˌ-()")
    for language in LANGUAGES:
        symbols = {letter for phone in say(TEXT + " 3714", Voice(language=language)).phones for letter in phone.symbol}
        assert symbols - marks <= set(VISEMES), language


def test_lips_meet_for_labials_between_open_vowels() -> None:
    phones = (Phone("a", 0.0, 0.12, 0.12), Phone("m", 0.12, 0.19, 0.19), Phone("a", 0.19, 0.31, 0.31))
    times = np.arange(32) / 100
    gaps = [mouth.gap for mouth in mouths(phones, times, make_manner(1), 1)]
    assert max(gaps[13:16]) == 0
    assert min(max(gaps[2:9]), max(gaps[20:28])) > 0.1


def test_shapes_of_sounds() -> None:
    assert visemes_of("u")[0].shape.rounded > 0.9
    assert visemes_of("iː")[0].shape.wide > 0.5
    assert len(visemes_of("aɪ")) == 2
    assert visemes_of("")[0].shape == Mouth()
    assert mouths((), np.arange(3.0), make_manner(0), 0)[0].gap < 0.02


def test_contours_of_the_lips_never_cross() -> None:
    x = np.linspace(-0.6, 0.6, 61, dtype=np.float32)[None, :]
    for mouth in (
        Mouth(),
        Mouth(jaw=0.3, gap=0.3),
        Mouth(rounded=1, gap=0.05),
        Mouth(press=1),
        Mouth(tuck=1, gap=0.03),
    ):
        lips = lip_shape(make_look(3), mouth, x)
        assert (lips.upper_outer <= lips.upper_inner + 1e-6).all()
        assert (lips.upper_inner <= lips.lower_inner + 1e-6).all()
        assert (lips.lower_inner <= lips.lower_outer + 1e-6).all()
        assert float((lips.lower_inner - lips.upper_inner).max()) == pytest.approx(mouth.gap, abs=0.02)


def test_nothing_is_said_of_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        write_movie(tmp_path / "x.doc", iter([np.zeros((2, 2, 3), np.uint8)]), Fraction(25), None)
    with pytest.raises(ValueError, match="speech, noise, silence or none"):
        perform(Scene(sound="song"))
    with pytest.raises(ValueError, match="speaker among its faces"):
        perform(Scene(faces=2, speaker=2))


@pytest.mark.parametrize("seed", range(8))
def test_the_face_finder_sees_the_person_and_the_mouth_where_it_is(seed: int) -> None:
    scale, centre = 55.0, (128.0, 122.0)
    person = Face(make_look(seed), 256, 256, centre, scale)
    finder, follower = FaceFinder(), FaceFollower()
    found: FoundFace | None = None
    openings = []
    gaps = [0.0, 0.05, 0.1, 0.2, 0.28, 0.2, 0.1, 0.0]
    for moment, gap in enumerate(gaps):
        picture = person.draw(Mouth(jaw=gap, gap=gap), Pose(yaw=0.03 * np.sin(moment)), moment)
        luma = (16 + cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * (219 / 255)).astype(np.uint8)
        if found is None:
            faces = finder.locate(luma)
            assert len(faces) == 1
            found = faces[0]
        found = follower(luma, found)
        assert found is not None, f"lost at gap {gap}"
        assert found.score > 0.9
        mouth = (centre[0], centre[1] + (MOUTH_Y + 0.14 * gap) * scale)
        assert np.hypot(found.mouth[0] - mouth[0], found.mouth[1] - mouth[1]) < 0.06 * 2 * scale
        openings.append(found.mouth_open)
    assert np.corrcoef(gaps, openings)[0, 1] > 0.8
