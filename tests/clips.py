"""Makers of test media, good and bad: each is a function of the path to write, which it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from face_layers import Image
from talking_face import RATE, Performance, Scene, make, perform, write_movie

Maker = Callable[[Path], Path]
SEED = 12
TEXT = "Barbara found my big map, but Paul forgot five warm apple pies on the piano."
OFFSET_MS = 187.0  # of the clip "late"
EARLY_MS = -240.0  # of the clip "early"
CUTS_S = (2.0, 4.0)


def talking(path: Path) -> Path:
    """Six seconds of one person, sound and picture together."""
    return make(path, seconds=6, seed=SEED, language="en-us").path


def late(path: Path) -> Path:
    """The same with the audio OFFSET_MS late."""
    return make(path, seconds=6, seed=SEED, language="en-us", offset_ms=OFFSET_MS).path


def early(path: Path) -> Path:
    """The same with the audio early by EARLY_MS, which is negative."""
    return make(path, seconds=6, seed=SEED, language="en-us", offset_ms=EARLY_MS).path


def text_named_mp4(path: Path) -> Path:
    """Words where a film is expected."""
    path.write_text("This is a shopping list, not a film.\n" * 40)
    return path


def empty(path: Path) -> Path:
    """No bytes at all."""
    path.write_bytes(b"")
    return path


def truncated_mp4(path: Path) -> Path:
    """An mp4 that ends before its index (moov)."""
    data = talking(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    if b"moov" in path.read_bytes():
        raise AssertionError("the index was expected at the end of the file")
    return path


def truncated_mkv(path: Path) -> Path:
    """A Matroska file that stops half way: what is there can be read."""
    data = talking(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def no_video(path: Path) -> Path:
    """Speech alone."""
    _write_sound(path, _need_samples(perform(Scene(seconds=4, seed=SEED, language="en-us"))))
    return path


def no_audio(path: Path) -> Path:
    """A closed mouth and no audio track."""
    return make(path, seconds=3, seed=SEED, sound="none").path


def silent(path: Path) -> Path:
    """A talking mouth over an audio track of zeros."""
    done = perform(Scene(seconds=4, seed=SEED, language="en-us"))
    write_movie(path, done.frames, done.clip.fps, np.zeros_like(_need_samples(done)))
    return path


def no_face(path: Path) -> Path:
    """Speech over moving colour bars."""
    done = perform(Scene(seconds=4, seed=SEED, language="en-us"))
    write_movie(path, _bars(len(done.clip.times)), done.clip.fps, done.samples)
    return path


def no_speech(path: Path) -> Path:
    """A face with its mouth shut, and noise."""
    return make(path, seconds=4, seed=SEED, sound="noise").path


def still(path: Path) -> Path:
    """A photograph of a face while speech goes on."""
    return make(path, seconds=5, seed=SEED, language="en-us", still=True).path


def cartoon(path: Path) -> Path:
    """A drawn smiley whose mouth moves, with speech."""
    done = perform(Scene(seconds=4, seed=SEED, language="en-us"))
    write_movie(path, _smiley(done.clip.gap), done.clip.fps, done.samples)
    return path


def three_frames(path: Path) -> Path:
    """A tenth of a second."""
    return make(path, seconds=0.12, seed=SEED, language="en-us").path


def one_pixel(path: Path) -> Path:
    """A picture of 1x1."""
    return make(path, seconds=2, seed=SEED, language="en-us", size=(1, 1)).path


def odd_size(path: Path) -> Path:
    """A picture of 17x33."""
    return make(path, seconds=2, seed=SEED, language="en-us", size=(17, 33)).path


def huge(path: Path) -> Path:
    """A face of ordinary size in a picture of 4096x2160."""
    done = perform(Scene(seconds=1.6, seed=SEED, language="en-us", size=(640, 640)))
    write_movie(path, _on_canvas(done.frames, 4096, 2160), done.clip.fps, done.samples)
    return path


def one_fps(path: Path) -> Path:
    """One picture a second."""
    return make(path, seconds=8, seed=SEED, language="en-us", fps=1).path


def short_audio(path: Path) -> Path:
    """Six seconds of picture, two of sound."""
    done = perform(Scene(seconds=6, seed=SEED, language="en-us"))
    write_movie(path, done.frames, done.clip.fps, _need_samples(done)[: 2 * RATE])
    return path


def two_faces(path: Path) -> Path:
    """Two people side by side; the right one talks."""
    return make(path, seconds=5, seed=SEED, language="en-us", size=(512, 256), faces=2, speaker=1).path


def cuts(path: Path) -> Path:
    """Three people in turn, cut at CUTS_S, who share one speech."""
    return make(path, seconds=6, seed=SEED, language="en-us", cuts=CUTS_S).path


def ntsc(path: Path) -> Path:
    """29.97 frames a second, the audio OFFSET_MS late."""
    rate = Fraction(30000, 1001)
    return make(path, seconds=6, seed=SEED, language="en-us", offset_ms=OFFSET_MS, fps=rate).path


def stepping(path: Path) -> Path:
    """Sound that is right for three seconds and 200 ms late from then on."""
    scene = Scene(seconds=6, seed=SEED, language="en-us")
    done, later = perform(scene), perform(replace(scene, offset_ms=200.0))
    middle = 3 * RATE
    samples = np.concatenate([_need_samples(done)[:middle], _need_samples(later)[middle:]])
    write_movie(path, done.frames, done.clip.fps, samples)
    return path


MAKERS: dict[str, tuple[Maker, str]] = {
    maker.__name__: (maker, suffix)
    for suffix, makers in {
        ".mp4": (
            talking,
            late,
            early,
            text_named_mp4,
            empty,
            truncated_mp4,
            no_audio,
            silent,
            no_face,
            no_speech,
            still,
            cartoon,
            three_frames,
            huge,
            one_fps,
            short_audio,
            two_faces,
            cuts,
            ntsc,
            stepping,
        ),
        ".mkv": (truncated_mkv, one_pixel, odd_size),
        ".m4a": (no_video,),
    }.items()
    for maker in makers
}
"""Every maker with the extension its file should have."""

SPEECHLESS = frozenset({"text_named_mp4", "empty", "no_audio", "no_speech"})
"""Makers that do without espeak-ng."""


def _need_samples(done: Performance) -> NDArray[np.float32]:
    if done.samples is None:
        raise AssertionError("a scene with sound was expected")
    return done.samples


def _write_sound(path: Path, samples: NDArray[np.float32]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        for start in range(0, len(samples), 1024):
            piece = np.ascontiguousarray(samples[None, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _bars(count: int) -> Iterator[Image]:
    colours = np.array(
        [(235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16), (235, 16, 235), (235, 16, 16)], dtype=np.uint8
    )
    row = np.repeat(colours, 40, axis=0)
    for moment in range(count):
        yield np.ascontiguousarray(np.broadcast_to(np.roll(row, 2 * moment, axis=0), (180, 240, 3)))


def _smiley(gap: NDArray[np.float32]) -> Iterator[Image]:
    for opening in gap:
        picture = np.full((240, 240, 3), (90, 150, 210), dtype=np.uint8)
        cv2.circle(picture, (120, 120), 90, (250, 210, 40), -1, cv2.LINE_AA)
        for x in (88, 152):
            cv2.ellipse(picture, (x, 95), (9, 14), 0, 0, 360, (20, 20, 20), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (120, 155), (40, 4 + round(80 * float(opening))), 0, 0, 360, (20, 20, 20), -1, cv2.LINE_AA)
        yield picture


def _on_canvas(pictures: Iterator[Image], width: int, height: int) -> Iterator[Image]:
    canvas = np.full((height, width, 3), 96, dtype=np.uint8)
    for picture in pictures:
        high, wide = picture.shape[:2]
        top, left = (height - high) // 2, (width - wide) // 2
        canvas[top : top + high, left : left + wide] = picture
        yield canvas
