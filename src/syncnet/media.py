"""Media files in: what they hold, and their pictures and sound on ONE clock, the presentation time.

The time of a picture or sample is the container's timestamp in seconds: start offsets, edit lists, variable frame
rates and encoder delay all count; the frame index never does.
"""

from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.stream import AudioStream as AvAudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from syncnet.container import (
    AnyPath,
    OnProblem,
    decoded,
    has_edits,
    ignore,
    moving_pictures,
    open_media,
    seconds,
    shown_span,
)
from syncnet.pictures import FPS, Frame, display_rotation, frames
from syncnet.sound import SAMPLE_RATE, Sound, read_sound, sound_chunks

__all__ = [
    "FPS",
    "SAMPLE_RATE",
    "AnyPath",
    "AudioStream",
    "Frame",
    "MediaInfo",
    "OnProblem",
    "Sound",
    "VideoStream",
    "frames",
    "probe",
    "read_sound",
    "sound_chunks",
]


@dataclass(frozen=True)
class VideoStream:
    """One stream of moving pictures; `width` and `height` in pixels as shown, after rotation.

    `rotation` in degrees counterclockwise, a multiple of 90; `fps` the average frame rate, 0 when unknown; `start`
    and `duration` in seconds of presentation time by the header, `duration` None when unknown.
    """

    index: int
    codec: str
    width: int
    height: int
    rotation: int
    fps: float
    start: float
    duration: float | None


@dataclass(frozen=True)
class AudioStream:
    """One audio track; `rate` in Hz; `start` and `duration` in seconds of presentation time by the header."""

    index: int
    codec: str
    rate: int
    channels: int
    language: str | None
    start: float
    duration: float | None


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds; `audio[n]` is the track that `track=n` means; `duration` in seconds, None when unknown."""

    path: Path
    container: str
    duration: float | None
    video: tuple[VideoStream, ...]
    audio: tuple[AudioStream, ...]


def probe(path: AnyPath) -> MediaInfo:
    """List the streams of a media file, cover art left out; raises InputError for a file that cannot be read."""
    with open_media(path) as container:
        video = tuple(_video(path, container, stream) for stream in moving_pictures(container))
        audio = tuple(_audio(container, stream) for stream in container.streams.audio)
        streams: tuple[VideoStream | AudioStream, ...] = (*video, *audio)
        ends = [s.start + s.duration for s in streams if s.duration is not None]
        duration = None if container.duration is None else container.duration / float(av.time_base)
        if has_edits(container) and ends:
            duration = max(ends) - min(s.start for s in streams)
        return MediaInfo(Path(path), container.format.name, duration, video, audio)


def _video(path: AnyPath, container: InputContainer, stream: AvVideoStream) -> VideoStream:
    rotation = _rotation(path, stream.index)
    across = rotation in (90, 270)
    start, duration = _extent(container, stream)
    return VideoStream(
        index=stream.index,
        codec=stream.codec_context.name,
        width=stream.height if across else stream.width,
        height=stream.width if across else stream.height,
        rotation=rotation,
        fps=float(stream.average_rate or stream.guessed_rate or 0),
        start=start,
        duration=duration,
    )


def _audio(container: InputContainer, stream: AvAudioStream) -> AudioStream:
    context = stream.codec_context
    start, duration = _extent(container, stream)
    return AudioStream(
        index=stream.index,
        codec=context.name if context is not None else "unknown",
        rate=context.sample_rate if context is not None else 0,
        channels=context.layout.nb_channels if context is not None else 0,
        language=stream.language,
        start=start,
        duration=duration,
    )


def _extent(container: InputContainer, stream: AvVideoStream | AvAudioStream) -> tuple[float, float | None]:
    """Start and duration of a stream in seconds by the header, without what an edit list cuts away."""
    span = shown_span(container, stream)
    start, duration = seconds(stream, stream.start_time or 0), _duration(stream)
    shown = max(start, span.start)
    return shown, None if duration is None else max(0.0, min(start + duration, span.end) - shown)


def _duration(stream: AvVideoStream | AvAudioStream) -> float | None:
    """Seconds a stream lasts by its header, in Matroska by its DURATION tag (hh:mm:ss.fraction)."""
    if stream.duration is not None:
        return seconds(stream, stream.duration)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, rest = (float(part) for part in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + rest


def _rotation(path: AnyPath, index: int) -> int:
    """Degrees counterclockwise by which a stream's first picture is turned; 0 when none can be decoded."""
    with open_media(path) as container:
        for frame in decoded(container, container.streams[index], ignore):
            if isinstance(frame, VideoFrame):
                return display_rotation(frame)
    return 0
