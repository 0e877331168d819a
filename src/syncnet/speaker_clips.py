"""Every speaking turn as a clip of its own: the speaker's face, steady and centred, with the sound of the turn."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from syncnet.active_speaker import FPS
from syncnet.colour import Bgr
from syncnet.container import open_media
from syncnet.errors import InputError
from syncnet.people import square
from syncnet.sound_codec import Encoding, add_sound_stream, encoding_for
from syncnet.source_sound import source_sound, track_format
from syncnet.speaker_results import FaceSpeech, SpeakersResult
from syncnet.speaker_video import coloured, h264_stream, picture_frame, picture_rate
from syncnet.turns import OFFSCREEN, Turn

SIDE = 224
"""Pixels on a side of a clip, as face pipelines of the field have it."""

_ROOM = 1.6  # side of the square cut out, over the longer side of the face's box
_STEADY = 12  # frames on either side of the running median that steadies the square

Piece = Bgr | NDArray[np.float32]


@dataclass(frozen=True)
class ClipFile:
    """One clip written: its file, and the turn that it holds."""

    path: Path
    turn: Turn


def save_clips(result: SpeakersResult, source: Path, folder: Path, audio_track: int = 0) -> list[ClipFile]:
    """Write each turn of a visible speaker as FILM_speaker_start-end.mp4: the face 224 x 224 in H.264, the sound AAC.

    Picture and sound keep their offset to each other. Where the film shows the speaker in several shots within a turn,
    the clip follows; where it shows somebody else, it holds the last picture. The film is read once, and memory does
    not grow with its length. Raises InputError when the files cannot be written.
    """
    waiting = sorted((t for t in result.turns if t.speaker != OFFSCREEN), key=lambda t: t.start_s)
    encoding = encoding_for(track_format(source, audio_track), {"aac"}, "mp4", "aac")
    rate = picture_rate(source)
    running: list[_Clip] = []
    written: list[ClipFile] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for time, piece in _pieces(source, audio_track):
            while waiting and waiting[0].start_s <= time + _length(piece, encoding.rate):
                turn = waiting.pop(0)
                faces = [f for f in result.faces if f.person == turn.speaker]
                running.append(_Clip(_name(folder, source, turn), turn, faces, encoding, rate))
            for clip in [c for c in running if c.turn.end_s + 1.0 <= time]:  # sound and pictures may interleave loosely
                written.append(clip.finish())
                running.remove(clip)
            for clip in running:
                clip.take(time, piece)
        while running:
            written.append(running[0].finish())
            running.pop(0)
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{folder}: clips cannot be written: {error.strerror or error}.") from error
    finally:
        for clip in running:
            clip.abandon()
    return sorted(written, key=lambda c: (c.turn.start_s, c.path))


def _name(folder: Path, source: Path, turn: Turn) -> Path:
    return folder / f"{source.stem}_{turn.speaker}_{turn.start_s:07.2f}-{turn.end_s:07.2f}.mp4"


def _length(piece: Piece, rate: int) -> float:
    """Seconds that a piece of sound lasts; a picture stands for the moment it comes."""
    return piece.shape[1] / rate if piece.ndim == 2 else 0.0


def _pieces(source: Path, audio_track: int) -> Iterator[tuple[float, Piece]]:
    """Pictures `(H, W, 3)` uint8 and blocks of sound `(C, n)` float32 of a film, in order of their times."""

    def pictures() -> Iterator[tuple[float, Piece]]:
        with open_media(source) as container:
            yield from coloured(container)

    def sounds() -> Iterator[tuple[float, Piece]]:
        rate, heard, at = track_format(source, audio_track).rate, source_sound(source, audio_track), 0
        for block in heard.chunks:
            yield heard.start + at / rate, block
            at += block.shape[1]

    return heapq.merge(pictures(), sounds(), key=lambda timed: timed[0])


@dataclass
class _Clip:
    """A clip being written."""

    path: Path
    turn: Turn
    faces: list[FaceSpeech]
    encoding: Encoding
    rate: Fraction
    shown: Bgr | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._part = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")
        self._out = av.open(f"file:{self._part}", "w")
        self._video = h264_stream(self._out, SIDE, SIDE, self.rate)
        self._audio = add_sound_stream(self._out, self.encoding)

    def take(self, time: float, piece: Piece) -> None:
        """Add what of a piece lies within the turn."""
        if piece.ndim == 3:
            if self.turn.start_s - 1e-6 <= time < self.turn.end_s - 1e-6:
                self._see(time, np.asarray(piece, np.uint8))
        else:
            self._hear(time, np.asarray(piece, np.float32))

    def _see(self, time: float, picture: Bgr) -> None:
        face = next((f for f in self.faces if f.start_s - 0.5 / FPS <= time < f.end_s), None)
        if face is not None:
            self.shown = square(picture, steady_box(face, time), _ROOM, SIDE)
        if self.shown is not None:
            frame = picture_frame(self.shown, time - self.turn.start_s)
            for packet in self._video.encode(frame):
                self._out.mux_one(packet)

    def _hear(self, time: float, block: NDArray[np.float32]) -> None:
        rate = self.encoding.rate
        first = max(0, round((self.turn.start_s - time) * rate))
        last = min(block.shape[1], round((self.turn.end_s - time) * rate))
        if first >= last:
            return
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(block[:, first:last]), format="fltp", layout=self.encoding.layout
        )
        frame.sample_rate = rate
        frame.pts, frame.time_base = round((time - self.turn.start_s) * rate) + first, Fraction(1, rate)
        for packet in self._audio.encode(frame):
            self._out.mux_one(packet)

    def finish(self) -> ClipFile:
        """Write what the encoders still hold and give the file its name."""
        for stream in (self._video, self._audio):
            for packet in stream.encode(None):
                self._out.mux_one(packet)
        self._out.close()
        os.replace(self._part, self.path)
        return ClipFile(self.path, self.turn)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._out.close()
        self._part.unlink(missing_ok=True)


def steady_box(face: FaceSpeech, time: float) -> tuple[float, float, float, float]:
    """The box of a face at a time, its path smoothed by a running median over a second."""
    at = int(np.clip(round((time - face.start_s) * FPS), 0, len(face.boxes) - 1))
    near = face.boxes[max(0, at - _STEADY) : at + _STEADY + 1]
    x0, y0, x1, y1 = (float(v) for v in np.median(near, axis=0))
    return x0, y0, x1, y1
