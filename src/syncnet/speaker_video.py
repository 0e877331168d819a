"""The film with every face boxed, green speaking and red silent, and its original sound: written while it is read."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from syncnet.active_speaker import FPS, SILENT, SPEAKING
from syncnet.colour import Bgr, bgr
from syncnet.container import ignore, moving_pictures, open_media
from syncnet.errors import InputError
from syncnet.packet_flow import Timed, copied_packets
from syncnet.pictures import native_pictures
from syncnet.speaker_report import offset_in_words
from syncnet.speaker_results import FaceSpeech, SpeakersResult
from syncnet.turns import OFFSCREEN

GREEN, RED, AMBER, WHITE, BLACK = (64, 200, 64), (64, 64, 220), (40, 180, 240), (255, 255, 255), (0, 0, 0)
"""Colours (blue, green, red) of speaking, silent and unsure faces, and of text."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_QUALITY = {"crf": "20", "preset": "veryfast"}
_TICKS = 90000  # time base of the pictures, per second


def save_video(result: SpeakersResult, source: Path, target: Path, audio_track: int = 0) -> None:
    """Write the film with boxes, names, scores and the offset in words as H.264; the sound is copied bit for bit.

    `target` ends in .mp4, .mov or .mkv. Every picture keeps its presentation time, so that sound and picture stand as
    they stood. Memory does not grow with the length. Raises InputError when the file cannot be written or its container
    cannot hold the sound.
    """
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        _write(result, source, part, audio_track)
        os.replace(part, target)
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def _write(result: SpeakersResult, source: Path, part: Path, audio_track: int) -> None:
    with open_media(source) as sound, closing(_opened(part)) as out:
        try:
            video = h264_stream(out, result.width, result.height, picture_rate(source))
        except ValueError as error:
            raise InputError(f"{part.suffix} cannot hold H.264 pictures: end the name in .mp4 or .mkv.") from error
        heard = sound.streams.audio[audio_track]
        try:
            copy = out.add_stream_from_template(heard, opaque=True)
            out.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            codec = heard.codec_context.name if heard.codec_context else "its codec"
            raise InputError(
                f"{part.suffix} cannot hold the original sound ({codec}): name an output that ends in .mkv."
            ) from error
        pictures = coded(video, annotated(result, source))
        copied = copied_packets(sound, {heard.index: copy}, {heard.index: 0.0})
        for _, packet in heapq.merge(pictures, copied, key=lambda timed: timed[0]):
            out.mux_one(packet)


def _opened(part: Path) -> OutputContainer:
    try:
        return av.open(f"file:{part}", "w")
    except ValueError as error:
        kind = part.suffix or "a name without ending"
        raise InputError(f"{kind} is no kind of video file: end the name in .mp4 or .mkv.") from error


def picture_rate(source: Path) -> Fraction:
    """Pictures a second that a film has on average, 25 where it does not say."""
    with open_media(source) as container:
        stream = moving_pictures(container)[0]
        return stream.average_rate or stream.guessed_rate or Fraction(25)


def h264_stream(out: OutputContainer, width: int, height: int, rate: Fraction) -> VideoStream:
    """A stream of pictures that every player takes; odd sides lose a row or column."""
    stream = out.add_stream("libx264", rate=rate, options=_QUALITY)
    stream.width, stream.height = max(2, width - width % 2), max(2, height - height % 2)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    return stream


def coded(stream: VideoStream, pictures: Iterator[tuple[float, Bgr]]) -> Iterator[Timed]:
    """Encode pictures, each with its presentation time in seconds; packets with their decoding times."""
    for time, picture in pictures:
        yield from _timed(stream.encode(picture_frame(picture[: stream.height, : stream.width], time)))
    yield from _timed(stream.encode(None))


def picture_frame(picture: Bgr, time: float) -> VideoFrame:
    """A picture ready to be encoded, shown from `time` seconds on."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
    frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
    return frame


def _timed(packets: list[Packet[Any]]) -> Iterator[Timed]:
    for packet in packets:
        stamp = packet.dts if packet.dts is not None else packet.pts or 0
        yield float(stamp * packet.time_base), cast("Packet[Stream]", packet)


def annotated(result: SpeakersResult, source: Path) -> Iterator[tuple[float, Bgr]]:
    """Every decoded picture of a film with what is known of its faces drawn in, and its presentation time."""
    waiting = sorted(result.faces, key=lambda f: f.start_s)
    shown: list[FaceSpeech] = []
    with open_media(source) as container:
        for time, picture in coloured(container):
            while waiting and waiting[0].start_s <= time + 0.5 / FPS:
                shown.append(waiting.pop(0))
            shown = [face for face in shown if face.end_s > time]
            draw(picture, time, shown, result)
            yield time, picture


def coloured(container: InputContainer) -> Iterator[tuple[float, Bgr]]:
    """The pictures of a film as they come, upright, with their presentation times; all of the first one's size."""
    stream = moving_pictures(container)[0]
    size: tuple[int, int] | None = None
    for picture in native_pictures(container, stream, ignore):
        pixels = bgr(picture.frame)
        size = size or (pixels.shape[1], pixels.shape[0])
        if (pixels.shape[1], pixels.shape[0]) != size:
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield picture.time, pixels


def draw(picture: Bgr, time: float, faces: list[FaceSpeech], result: SpeakersResult) -> None:
    """Draw boxes, names and scores of the faces shown at `time`, and a line about voice and offset, into a picture."""
    scale = float(np.clip(picture.shape[0] / 720, 0.5, 2.0)) * 0.6
    thick = max(1, round(2 * scale))
    for face in faces:
        at = int(np.clip(round((time - face.start_s) * FPS), 0, len(face.state) - 1))
        colour = {SPEAKING: GREEN, SILENT: RED}.get(int(face.state[at]), AMBER)
        x0, y0, x1, y1 = (round(float(v)) for v in face.boxes[at])
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, max(2, 2 * thick))
        score = "" if np.isnan(face.score[at]) else f" {face.score[at]:+.1f}"
        _label(picture, f"{face.person}{score}", (x0, y0), colour, scale)
    foot = f"{time:6.2f} s   {offset_in_words(result)}"
    if any(t.speaker == OFFSCREEN and t.start_s <= time < t.end_s for t in result.turns):
        foot += "   off-screen voice"
    _label(picture, foot, (0, picture.shape[0]), BLACK, scale)


def _label(picture: Bgr, text: str, corner: tuple[int, int], colour: tuple[int, int, int], scale: float) -> None:
    """Text on a bar whose lower left corner is `corner`, moved into the picture."""
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    bar = height + base + 4
    x = int(np.clip(corner[0], 0, max(0, picture.shape[1] - width - 6)))
    y = int(np.clip(corner[1], bar, picture.shape[0]))
    cv2.rectangle(picture, (x, y - bar), (x + width + 6, y), colour, -1)
    cv2.putText(picture, text, (x + 3, y - base - 1), _FONT, scale, WHITE, max(1, round(1.4 * scale)), cv2.LINE_AA)
