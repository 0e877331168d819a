"""Make a video of a drawn person who talks, with sound and lips apart by a known time.

    python examples/talking_face.py out.mp4 --offset-ms 187 --seconds 8 --seed 3

The sound comes from espeak-ng, which tells when each phone begins; the lips follow those times. The picture can be
sampled at any frame rate, and the sound is moved by whole samples, so the offset is exact. The same arguments give the
same file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from face_drawing import Face, Mouth, Pose
from face_layers import MOUTH_Y, Image, make_look
from face_motion import Manner, make_manner, mouths, poses
from face_speech import Speech, add_pause, random_voice, say, talk

RATE = 48000
MARGIN = 2.5  # seconds of talk kept ready before and after the clip, to be moved into it by an offset
EXPOSURE_S = 0.016  # longest exposure of a picture
_CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".ts": ("libx264", "aac"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".webm": ("libvpx", "libopus"),
}


@dataclass(frozen=True)
class Clip:
    """What is true of a file that was made: sound and lips are `offset_ms` apart (audio time minus video time)."""

    path: Path
    offset_ms: float
    seconds: float
    fps: Fraction
    size: tuple[int, int]
    mouth_xy: tuple[tuple[float, float], ...]  # centre of each resting mouth, pixels
    face_width: float  # pixels
    times: NDArray[np.float64]  # presentation time of each frame, seconds
    gap: NDArray[np.float32]  # opening of the speaker's lips in each frame, in half face widths


@dataclass(frozen=True)
class Performance:
    """A clip before it is encoded: pictures to be read once, the sound if any, and what is true of them."""

    clip: Clip
    frames: Iterator[Image]
    samples: NDArray[np.float32] | None  # (N,) at RATE, from the time of the first picture


@dataclass(frozen=True)
class Scene:
    """What is to be seen and heard.

    `offset_ms` is audio time minus video time: positive is audio late. `seconds` is 6, or as long as `text` takes.
    `faces` people sit side by side and number `speaker` talks. `sound` is "speech", or "noise" or "silence" with the
    mouth shut, or "none" for a file without an audio track. `still` freezes the picture while the speech goes on. At
    each of the `cuts` (seconds) another person goes on with the same speech. `face_width` is in pixels, `turn` the
    mean yaw in degrees.
    """

    seconds: float | None = None
    offset_ms: float = 0.0
    seed: int = 0
    size: tuple[int, int] = (256, 256)
    fps: Fraction = Fraction(25)
    text: str | None = None
    language: str | None = None
    faces: int = 1
    speaker: int = 0
    sound: str = "speech"
    still: bool = False
    cuts: tuple[float, ...] = ()
    face_width: float | None = None
    turn: float | None = None


def make(path: str | Path, *, fps: float | Fraction = 25, **wanted: Any) -> Clip:
    """Write a talking clip; the container follows the extension (.mp4 .mov .mkv .ts .avi .webm).

    `wanted` are the fields of `Scene`. Raises SpeechMissing without espeak-ng, ValueError for what cannot be drawn.
    """
    done = perform(Scene(fps=Fraction(fps).limit_denominator(1001), **wanted))
    write_movie(path, done.frames, done.clip.fps, done.samples)
    return replace(done.clip, path=Path(path))


def perform(scene: Scene) -> Performance:
    """Draw and speak a scene; pictures are drawn as they are read."""
    if scene.sound not in ("speech", "noise", "silence", "none"):
        raise ValueError(f"sound is speech, noise, silence or none, not {scene.sound!r}")
    if not 0 <= scene.speaker < scene.faces or min(scene.size) < 1 or scene.fps <= 0:
        raise ValueError("a scene needs a picture, a positive frame rate, and its speaker among its faces")
    talking = scene.sound == "speech"
    speech = _speech(scene, talking=talking)
    length = scene.seconds if scene.seconds is not None else len(speech.samples) / speech.rate - 2 * MARGIN
    width, height = scene.size
    times = np.arange(max(1, round(length * scene.fps))) / float(scene.fps)
    panel = max(1, width // scene.faces)
    scale = (scene.face_width or 0.43 * min(panel, height)) / 2
    centre = (panel / 2, height / 2 - 0.1 * scale)
    exposure = min(0.3 / float(scene.fps), EXPOSURE_S)
    panels, gap = [], np.zeros(len(times), dtype=np.float32)
    for i in range(scene.faces):
        seed = scene.seed + 1000 * i
        manner = make_manner(seed)
        manner = manner if scene.turn is None else replace(manner, turn=float(np.deg2rad(scene.turn)))
        acted = act(speech if talking and i == scene.speaker else None, times, manner, seed, exposure)
        people = [Face(make_look(seed + 500 * k), panel, height, centre, scale) for k in range(len(scene.cuts) + 1)]
        panels.append((people, acted))
        if i == scene.speaker:
            gap = np.array([mouth.gap for mouth, _ in acted], dtype=np.float32)
    clip = Clip(
        path=Path(),
        offset_ms=scene.offset_ms,
        seconds=length,
        fps=scene.fps,
        size=scene.size,
        mouth_xy=tuple((centre[0] + i * panel, centre[1] + MOUTH_Y * scale) for i in range(scene.faces)),
        face_width=2 * scale,
        times=times,
        gap=gap[:1].repeat(len(gap)) if scene.still else gap,
    )
    samples = None if scene.sound == "none" else _sound(speech, scene, length)
    return Performance(clip, _frames(panels, scene, times), samples)


def _speech(scene: Scene, *, talking: bool) -> Speech:
    """What is said, with MARGIN seconds before and after the clip."""
    rng = np.random.default_rng([scene.seed, 9])
    voice = random_voice(rng, scene.language or ("en-us" if scene.text else None))
    length = (6.0 if scene.seconds is None else scene.seconds) + 2 * MARGIN
    if not talking:
        return Speech(np.zeros(round(length * 22050), dtype=np.float32), 22050, ())
    if scene.text is None:
        return talk(scene.seed, voice, length)
    return add_pause(say(scene.text, voice), MARGIN + 0.4, before=MARGIN + 0.4)


def act(
    speech: Speech | None, times: NDArray[np.float64], manner: Manner, seed: int, exposure: float
) -> list[tuple[Mouth, Pose]]:
    """Mouth and head at each time of the clip, each the mean over the `exposure` (seconds) of a camera."""
    phones = speech.phones if speech else ()
    moments = (times[:, None] + exposure * np.array([-0.5, 0.0, 0.5])).ravel() + MARGIN
    rows = np.array([list(vars(mouth).values()) for mouth in mouths(phones, moments, manner, seed)])
    means = rows.reshape(len(times), 3, -1).mean(axis=1) if len(times) else rows
    heads = poses(times, manner, seed)
    return [(Mouth(*(float(v) for v in row)), pose) for row, pose in zip(means, heads, strict=True)]


def _frames(
    panels: list[tuple[list[Face], list[tuple[Mouth, Pose]]]], scene: Scene, times: NDArray[np.float64]
) -> Iterator[Image]:
    blank = scene.size[0] - sum(people[0].size[0] for people, _ in panels)
    for moment, now in enumerate(times):
        shot = int(np.searchsorted(scene.cuts, now, side="right"))
        source = 0 if scene.still else moment
        row = [people[shot].draw(*acted[source], source) for people, acted in panels]
        yield row[0] if len(row) == 1 else np.pad(np.hstack(row), ((0, 0), (0, max(blank, 0)), (0, 0)))


def _sound(speech: Speech, scene: Scene, seconds: float) -> NDArray[np.float32]:
    """The sound heard during the clip, (N,) at RATE: what was said, `offset_ms` later, in a room."""
    from scipy.signal import fftconvolve, resample_poly

    rng = np.random.default_rng([scene.seed, 10])
    count = round(seconds * RATE)
    out = np.zeros(count, dtype=np.float32)
    if scene.sound == "silence":
        return out
    common = np.gcd(RATE, speech.rate)
    voice = resample_poly(speech.samples, RATE // common, speech.rate // common).astype(np.float32)
    first = round((MARGIN - scene.offset_ms / 1000) * RATE)
    low, high = max(first, 0), min(first + count, len(voice))
    if high > low:
        out[low - first : high - first] = voice[low:high]
    if rng.random() < 0.5:
        decay = np.exp(-np.arange(int(0.25 * RATE)) / (rng.uniform(0.02, 0.07) * RATE))
        echo = rng.uniform(0.002, 0.02) * rng.standard_normal(len(decay)) * decay
        echo[0] = 1.0
        out = fftconvolve(out, echo)[:count].astype(np.float32)
    hiss = 0.05 if scene.sound == "noise" else 10 ** rng.uniform(-3.2, -2.0)
    out *= rng.uniform(0.35, 0.8) / max(float(np.abs(out).max()), 1e-6)
    return np.clip(out + hiss * rng.standard_normal(count, dtype=np.float32), -1, 1).astype(np.float32)


def write_movie(
    path: str | Path,
    frames: Iterable[Image],
    fps: Fraction,
    samples: NDArray[np.float32] | None,
) -> None:
    """Encode RGB pictures (H, W, 3) and mono sound (N,) at RATE, both from time 0."""
    target = Path(path)
    if target.suffix.lower() not in _CODECS:
        raise ValueError(f"{target.name}: use one of {' '.join(_CODECS)}")
    video_codec, audio_codec = _CODECS[target.suffix.lower()]
    with av.open(str(target), "w", options={"fflags": "+bitexact"}) as container:
        pictures = iter(frames)
        first = next(pictures)
        video = _video_stream(container, video_codec, fps, first.shape[1], first.shape[0])
        audio = None
        if samples is not None:
            audio = cast(av.AudioStream, container.add_stream(audio_codec, rate=RATE, layout="mono"))
            audio.bit_rate = 96_000
        for number, picture in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            for start in range(0, len(samples), 960):
                piece = np.ascontiguousarray(samples[None, start : start + 960])
                sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))


def _video_stream(container: OutputContainer, codec: str, fps: Fraction, width: int, height: int) -> av.VideoStream:
    video = cast(av.VideoStream, container.add_stream(codec, rate=fps))
    video.width, video.height = width, height
    even = width % 2 == 0 and height % 2 == 0
    video.pix_fmt = "yuv420p" if even or codec != "libx264" else "yuv444p"
    video.codec_context.thread_count = 1  # the same bytes on every machine
    if codec == "libx264":
        video.options = {"crf": "20", "preset": "veryfast"}
    else:
        video.bit_rate = 1_500_000
    return video


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="file to write; its extension chooses the container")
    parser.add_argument("--seconds", type=float, help="length (6, or what --text takes)")
    parser.add_argument("--offset-ms", type=float, default=0.0, help="audio minus video time; positive: audio late")
    parser.add_argument("--seed", type=int, default=0, help="which person, voice and words")
    parser.add_argument("--size", default="256x256", help="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=Fraction, default=Fraction(25), help="frames a second, such as 25 or 30000/1001")
    parser.add_argument("--text", help="what to say; otherwise something by lot")
    parser.add_argument("--language", help="espeak-ng language such as en-us or de")
    parser.add_argument("--faces", type=int, default=1, help="people side by side")
    parser.add_argument("--face-width", type=float, help="pixels")
    arguments = parser.parse_args()
    try:
        width, height = (int(n) for n in arguments.size.split("x"))
        clip = make(
            arguments.path,
            seconds=arguments.seconds,
            offset_ms=arguments.offset_ms,
            seed=arguments.seed,
            size=(width, height),
            fps=arguments.fps,
            text=arguments.text,
            language=arguments.language,
            faces=arguments.faces,
            face_width=arguments.face_width,
        )
    except (ValueError, OSError, RuntimeError) as problem:
        print(f"talking_face: {problem}", file=sys.stderr)
        return 2
    side = "late" if clip.offset_ms > 0 else "early"
    words = f"audio {abs(clip.offset_ms):g} ms {side}" if clip.offset_ms else "audio and picture together"
    print(f"{clip.path}: {clip.seconds:.2f} s at {float(clip.fps):.3f} fps, {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
