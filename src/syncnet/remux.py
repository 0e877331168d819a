"""A media file written anew: its packets copied bit for bit, one sound track replaced or moved, all else kept."""

import heapq
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from syncnet import mp4
from syncnet.container import open_media
from syncnet.errors import InputError
from syncnet.packet_flow import Timed, copied_packets, first_time, sound_packets
from syncnet.sound_codec import Encoding, add_sound_stream, encoder_delay
from syncnet.source_sound import Floats

MOV_FAMILY = frozenset({"mov", "mp4", "ipod", "3gp", "3g2", "ismv", "f4v", "psp"})
TIMELESS = frozenset({"avi"})
"""Containers that play sound from its first packet on, the encoder's delay included."""
_MADE_BY_MUXER = frozenset({"tmcd", "text"})  # time code and chapter tracks, written anew from the metadata
_OWN_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
_ITUNES_TAGS = frozenset(
    "title artist album album_artist composer date comment genre copyright description synopsis show episode_id "
    "network grouping lyrics track disc creation_time language location encoder keywords".split()
)
_STALE_TAGS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_", "ENCODER")

OnTime = Callable[[float], None]


@dataclass(frozen=True)
class NewSound:
    """What takes the place of an audio track: blocks (C, n) float32 at `rate` Hz, the first sample at `start` s."""

    encoding: Encoding
    start: float
    rate: int
    layout: str
    blocks: Iterator[Floats]


def write_copy(
    source: Path,
    target: Path,
    audio_track: int,
    *,
    sound: NewSound | None = None,
    delay_s: float = 0.0,
    on_time: OnTime | None = None,
) -> tuple[str, ...]:
    """Copy `source` to `target` with one audio track replaced by `sound`, or moved by `delay_s` (negative: earlier).

    Where a container cannot hold times before zero, all other streams are moved later instead. Returns notes on what
    could not be kept. Raises InputError when the container cannot hold the streams, OSError when writing fails.
    """
    try:
        return _write(source, target, audio_track, sound, delay_s, on_time, with_data=True)
    except _HeaderRefused as refusal:
        if not refusal.data_streams:
            raise
        return _write(source, target, audio_track, sound, delay_s, on_time, with_data=False)


class _HeaderRefused(InputError):
    data_streams = False


def _write(
    source: Path,
    target: Path,
    audio_track: int,
    sound: NewSound | None,
    delay_s: float,
    on_time: OnTime | None,
    *,
    with_data: bool,
) -> tuple[str, ...]:
    with open_media(source) as inp, closing(_opened(target, source, inp)) as out:
        replaced = inp.streams.audio[audio_track]
        same = _family(out) == _family(inp)
        reasons = {s.index: _left_out(s, inp, source, same, with_data) for s in inp.streams}
        notes = tuple(why for why in reasons.values() if why)
        copies: dict[int, Stream] = {}
        coded: AudioStream | None = None
        for stream in inp.streams:
            if reasons[stream.index] is not None:
                continue
            if sound is not None and stream.index == replaced.index:
                coded = add_sound_stream(out, sound.encoding)
                _describe(coded, stream, same and out.format.name == "mpegts", fresh=True)
            else:
                copies[stream.index] = _copied(out, stream, same)
        base = 0.0
        if delay_s < 0 and _family(out) != "mov":  # only mp4 and mov have edit lists for times before zero
            base = max(0.0, -(first_time(source, replaced.index) + delay_s))
        delays = {index: base + (delay_s if index == replaced.index and sound is None else 0.0) for index in copies}
        _metadata(out, inp, base)
        _start(out, inp, [s for s in copies.values() if s.type == "data"])
        copied = copied_packets(inp, copies, delays)
        fresh: Iterator[Timed] = iter(())
        if coded is not None and sound is not None:
            early = encoder_delay(sound.encoding) / sound.encoding.rate if _family(out) in TIMELESS else 0.0
            blocks = _without_first(sound.blocks, round(early * sound.rate))
            fresh = sound_packets(coded, blocks, sound.start + early, sound.rate, sound.layout)
        told = -math.inf
        for time, packet in heapq.merge(copied, fresh, key=lambda timed: timed[0]):
            out.mux_one(packet)
            if on_time and time >= told + 1.0:
                told = time
                on_time(time)
        return notes


def _opened(target: Path, source: Path, inp: InputContainer) -> OutputContainer:
    options: dict[str, str] = {}
    try:
        out = av.open(f"file:{target}", "w", metadata_errors="replace", container_options=options)
    except ValueError as error:
        raise InputError(f"{target.name}: FFmpeg knows no container by this ending; .mp4 or .mkv would do") from error
    if _family(out) == "mov":
        flags = []
        if _family(inp) == "mov" and mp4.index_first(source):
            flags.append("faststart")
        if {key.lower() for key in inp.metadata} - _ITUNES_TAGS - _OWN_TAGS:
            flags.append("use_metadata_tags")
        if flags:
            out.container_options["movflags"] = "+" + "+".join(flags)
    elif out.format.name == "mpegts" and inp.format.name == "mpegts":
        out.container_options["mpegts_copyts"] = "1"
    return out


def _family(container: InputContainer | OutputContainer) -> str:
    names = set(container.format.name.split(","))
    if names & MOV_FAMILY:
        return "mov"
    return "matroska" if names & {"matroska", "webm"} else container.format.name


def _left_out(stream: Stream, inp: InputContainer, source: Path, same: bool, with_data: bool) -> str | None:
    """Why a stream is not copied: an empty reason when it is written anew anyway, None when it is copied."""
    if stream.type == "data":
        if _family(inp) == "mov" and mp4.sample_kinds(source).get(stream.id) in _MADE_BY_MUXER:
            return ""
        if not (same and with_data):
            return f"data stream {stream.index} could not be kept in this container"
    if stream.type not in ("video", "audio", "subtitle", "data", "attachment"):
        return f"stream {stream.index} is of a kind unknown to FFmpeg and could not be kept"
    decodable = cast("CodecContext | None", stream.codec_context) is not None
    if not decodable and stream.type not in ("data", "attachment"):
        return f"{stream.type} stream {stream.index} is in a codec unknown to FFmpeg and could not be kept"
    return None


def _copied(out: OutputContainer, stream: Stream, same: bool) -> Stream:
    try:
        copy = out.add_stream_from_template(stream, opaque=True)
    except (av.FFmpegError, ValueError) as error:
        name = stream.codec_context.name if stream.codec_context else stream.type
        raise InputError(
            f"{out.format.name} cannot hold the {stream.type} stream {stream.index} ({name}): "
            "name a result with the ending of the original"
        ) from error
    _describe(copy, stream, same and out.format.name == "mpegts", fresh=False)
    if same and stream.codec_context is not None and _family(out) == "mov":
        copy.codec_context.codec_tag = stream.codec_context.codec_tag  # hvc1 must not become hev1
    return copy


def _describe(copy: Stream, stream: Stream, keep_id: bool, *, fresh: bool) -> None:
    """Give a stream the language, title, disposition and id of another; `fresh` ones lose what no longer holds."""
    stale = _STALE_TAGS if fresh else ()
    copy.metadata.update({k: v for k, v in stream.metadata.items() if not k.upper().startswith(stale or "\0")})
    copy.disposition = stream.disposition
    if keep_id:
        copy.id = stream.id


def _metadata(out: OutputContainer, inp: InputContainer, base: float) -> None:
    out.metadata.update({k: v for k, v in inp.metadata.items() if k.lower() not in _OWN_TAGS})
    chapters = inp.chapters()
    if chapters:
        moved: list[Any] = []
        for chapter in chapters:
            unit = chapter["time_base"] or Fraction(1, 1000)
            ticks = round(Fraction(base) / unit)
            moved.append({**chapter, "start": chapter["start"] + ticks, "end": chapter["end"] + ticks})
        out.set_chapters(moved)


def _start(out: OutputContainer, inp: InputContainer, data: list[Stream]) -> None:
    try:
        out.start_encoding()
    except (av.ArgumentError, av.InvalidDataError, av.PatchWelcomeError, ValueError) as error:
        kinds = ", ".join(f"{s.type} {s.codec_context.name if s.codec_context else ''}".strip() for s in inp.streams)
        refusal = _HeaderRefused(
            f"{out.format.name} cannot hold what the original has ({kinds}): name a result with the original's ending"
        )
        refusal.data_streams = bool(data)
        raise refusal from error


def _without_first(blocks: Iterator[Floats], count: int) -> Iterator[Floats]:
    """Blocks (C, n) without their first `count` samples."""
    for block in blocks:
        yield block[:, count:]
        count = max(0, count - block.shape[1])
