"""A media file opened: its packets and decoded frames in file order on one clock, the container's presentation time."""

import math
import os
import re
import struct
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from syncnet import mp4
from syncnet.errors import InputError

AnyPath = str | os.PathLike[str]
OnProblem = Callable[[str], None]

FILE = "file:"  # keeps a colon in a name from being taken for a protocol
SPLICE_FORWARD_S = 10.0  # a transport stream whose clock leaps by more was spliced; a shorter leap is a pause
SPLICE_BACKWARD_S = 0.1  # decoding time never runs back, so a clock that does was restarted
OPUS_DELAY_FIXED_IN = (59, 31)  # libavformat; see `_opus_written_early`
OPUS_RATE = 48000  # Opus counts its pre-skip at this rate whatever it codes (RFC 7845, 5.1)
LEAP_S = 1.0  # a timestamp this much beyond both its predecessor and the end of the file is damaged
TRUNCATED_S = 1.0  # a file that ends this much before the end its header promises has lost its tail


def open_media(path: AnyPath) -> InputContainer:
    """Open a media file for reading; raises InputError in words that say what is wrong with it."""
    file = Path(path)
    if not file.exists():
        raise InputError(f"{file}: no such file")
    if file.is_dir():
        raise InputError(f"{file}: this is a directory; name a media file in it")
    if not file.is_file():
        raise InputError(f"{file}: not a regular file; save the stream to a file first")
    if file.stat().st_size == 0:
        raise InputError(f"{file}: the file is empty (0 bytes)")
    options = {"protocol_whitelist": "file,crypto,data"}  # a playlist must not reach for the network
    if mp4.shown_spans(file):
        # libavformat moves the first picture of an edit to the edit's start, up to a frame off; we cut ourselves.
        options["advanced_editlist"] = "0"
    try:
        container = av.open(f"{FILE}{file}", metadata_errors="replace", options=options)
    except PermissionError as error:
        raise InputError(f"{file}: permission denied") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(_why_unreadable(file)) from error
    if not container.streams.video and not container.streams.audio:
        container.close()
        raise InputError(_why_unreadable(file))
    return container


def _why_unreadable(file: Path) -> str:
    if mp4.lacks_index(file):
        return (
            f"{file}: the mp4/mov index (moov) is missing or incomplete: the recording or copy was cut off before its "
            "end; copy the file again, or rebuild its index with a recovery tool"
        )
    return f"{file}: not a video or audio file that FFmpeg can read"


def moving_pictures(container: InputContainer) -> tuple[VideoStream, ...]:
    """The video streams of a file that can be decoded, cover art and thumbnails left out."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return tuple(s for s in container.streams.video if not s.disposition & still and s.codec_context is not None)


def ignore(_: str) -> None:
    """Take note of nothing: the default for reports of damage."""


def seek(container: InputContainer, time: float) -> bool:
    """Go to packets before `time` (s) where the container's timestamps can be trusted after a seek; else stay.

    Transport streams are read from the start, since their splices show only on the way; so is Opus that needs the
    delay told by its first packet.
    """
    opus_delay = any(_opus_written_early(container, stream) for stream in container.streams.audio)
    if opus_delay or _has(container, Flags.ts_discont) or _has(container, Flags.no_timestamps):
        return False
    try:
        container.seek(round(time * float(av.time_base)))
    except (av.FFmpegError, OSError):
        return False
    return True


def _has(container: InputContainer, flag: Flags) -> bool:
    return bool(container.format.flags & cast("int", flag.value))


def shown_span(container: InputContainer, stream: Stream) -> mp4.Shown:
    """The span of presentation time (s) in which a stream is shown; what lies outside was cut by an edit list."""
    return _edits(container).get(stream.id, mp4.Shown(-math.inf, math.inf))


def has_edits(container: InputContainer) -> bool:
    """Whether an edit list says what is shown; the header's durations then tell of more."""
    return bool(_edits(container))


def _edits(container: InputContainer) -> dict[int, mp4.Shown]:
    if "mp4" not in container.format.name:
        return {}
    return mp4.shown_spans(Path(container.name.removeprefix(FILE)))


def seconds(stream: Stream, timestamp: int) -> float:
    """A timestamp of a stream in seconds; exact to the rounding of a float."""
    base = stream.time_base
    if base is None:
        raise InputError(f"stream {stream.index} has no time base")
    return timestamp * base.numerator / base.denominator


def packets(container: InputContainer, report: OnProblem) -> "Iterator[Packet[Stream]]":
    """All packets of a file in file order, their timestamps corrected where the container is known to be wrong.

    Where a transport stream's clock restarts (files joined end to end), all streams are moved by the same amount, so
    that their offset stays; Opus that a muxer placed early is moved back. Reading stops at damage that cannot be
    passed; that, and a file that ends before the end its header promises, is reported.
    """
    promised = _promised_end(container)
    source = _readable(container, report)
    source = _one_clock(source) if _has(container, Flags.ts_discont) else _without_leaps(source, promised)
    opus_delay = {s.index: 0.0 for s in container.streams.audio if _opus_written_early(container, s)}
    end = 0.0
    for packet in source:
        stream = packet.stream
        if stream.index in opus_delay:
            if not opus_delay[stream.index] and packet.has_sidedata("skip_samples"):
                skipped = struct.unpack_from("<I", bytes(packet.get_sidedata("skip_samples")))[0]
                opus_delay[stream.index] = skipped / OPUS_RATE
            _move(packet, opus_delay[stream.index])
        if packet.pts is not None and stream.type in ("video", "audio"):
            end = max(end, seconds(stream, packet.pts + (packet.duration or 0)))
        yield packet
    if promised is not None and "matroska" in container.format.name:
        promised -= (container.start_time or 0) / float(av.time_base)  # libavformat counts its duration from 0 there
    if promised is not None and end < promised - TRUNCATED_S:
        report(f"the file is cut off: it ends at {end:.1f} s of {promised:.1f} s; what is there is used")


def _readable(container: InputContainer, report: OnProblem) -> "Iterator[Packet[Stream]]":
    """The packets with data in them, up to the end or to damage that cannot be passed."""
    try:
        for packet in container.demux():
            if packet.size:
                yield packet
    except (av.FFmpegError, OSError) as error:
        report(f"reading stopped before the end of the file: {error}")


def _without_leaps(source: "Iterator[Packet[Stream]]", promised: float | None) -> "Iterator[Packet[Stream]]":
    """Take the timestamps off packets that leap beyond the promised end of the file (s): damage, not a pause."""
    last: dict[int, float] = {}
    for packet in source:
        if packet.pts is not None and promised is not None:
            pts = seconds(packet.stream, packet.pts)
            if pts > max(promised, last.get(packet.stream_index, pts)) + LEAP_S:
                packet.pts = packet.dts = None
            else:
                last[packet.stream_index] = pts
        yield packet


def _one_clock(source: "Iterator[Packet[Stream]]") -> "Iterator[Packet[Stream]]":
    """Move packets behind a splice so that the clock runs on, all streams by the same amount.

    A stream whose decoding times leap has come to a splice. The first one to leap says how far the new stretch is
    moved, to where that stream was due; the others join the stretch when they leap to the same place. A leap back
    into a stretch that was left follows a damaged timestamp, and goes on in that stretch.
    """
    due: dict[int, float] = {}  # each stream's next decoding time as stored
    moved: dict[int, float] = {}  # by how much each stream is moved at present
    read = {0.0: -math.inf}  # how far each stretch has been read, by how much it is moved
    newest = 0.0
    for packet in source:
        if packet.dts is None:
            _move(packet, moved.get(packet.stream_index, newest))
            yield packet
            continue
        index, dts = packet.stream_index, seconds(packet.stream, packet.dts)
        here = moved.setdefault(index, newest)
        expected = due.get(index, dts)
        if dts < expected - SPLICE_BACKWARD_S or dts > expected + SPLICE_FORWARD_S:
            if here == newest or abs(dts - read[newest]) > SPLICE_FORWARD_S:
                left = (m for m, last in read.items() if -SPLICE_BACKWARD_S <= dts - last <= SPLICE_FORWARD_S)
                newest = next(left, here + expected - dts)
            moved[index] = newest
        read[moved[index]] = max(dts, read.get(moved[index], dts))
        due[index] = dts + seconds(packet.stream, packet.duration or 0)
        _move(packet, moved[index])
        yield packet


def _move(packet: "Packet[Stream]", by: float) -> None:
    """Move a packet's timestamps by an amount in seconds, rounded to its time base as libavformat rounds."""
    base = packet.stream.time_base
    if by and base is not None:
        ticks = math.floor(by / base + 0.5)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def _opus_written_early(container: InputContainer, stream: Stream) -> bool:
    """Whether an Opus track plays early by its own pre-skip for a fault of the program that wrote the file.

    In Matroska and WebM a player subtracts the CodecDelay from a track's timestamps (RFC 9559, 5.1.4.1.25).
    libavformat before 59.31 wrote that element without adding it to the timestamps first, so every file by ffmpeg 5.1
    or older has its Opus sound 6.5 ms too early; its video is right.
    """
    if "matroska" not in container.format.name or stream.codec_context is None or "opus" not in (stream.name or ""):
        return False
    tags = {key.lower(): value for key, value in container.metadata.items()}
    writer = re.match(r"Lavf(\d+)\.(\d+)\.", tags.get("encoder", ""))
    return writer is not None and (int(writer[1]), int(writer[2])) < OPUS_DELAY_FIXED_IN


def _promised_end(container: InputContainer) -> float | None:
    """Presentation time at which a file's header says it ends; None where it says nothing."""
    if container.duration is None or _has(container, Flags.no_timestamps):
        return None
    return ((container.start_time or 0) + container.duration) / float(av.time_base)


def decoded(container: InputContainer, stream: Stream, report: OnProblem) -> Iterator[VideoFrame | AudioFrame]:
    """The decoded frames of one stream in presentation order; what cannot be decoded is left out and reported once.

    AVI tells no presentation times: there the n-th picture shown gets the time of the n-th picture stored.
    """
    stored_times: deque[int | None] | None = None
    if container.format.name == "avi" and stream.type == "video":
        stored_times = deque()
    damaged = 0
    for packet in chain(packets(container, report), [None]):
        if packet is not None and packet.stream_index != stream.index:
            continue
        if packet is not None and stored_times is not None:
            stored_times.append(packet.dts)
        try:
            found = _decode(stream, packet)
        except (av.FFmpegError, OSError):
            damaged += 1
            if stored_times:
                stored_times.pop()
            continue
        for frame in found:
            if stored_times:
                frame.pts = stored_times.popleft()
            yield frame
    damaged += len(stored_times or ())
    if damaged:
        kind = "picture" if stream.type == "video" else "sound"
        report(f"{damaged} damaged {kind} packet{'s' if damaged > 1 else ''} left out")


def _decode(stream: Stream, packet: "Packet[Stream] | None") -> list[VideoFrame | AudioFrame]:
    """The frames that a packet completes, or, for None, those that the decoder still holds."""
    context = cast("VideoCodecContext | AudioCodecContext", stream.codec_context)
    return list(context.decode(packet))
