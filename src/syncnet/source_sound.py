"""One audio track with all of its channels, at its own rate, continuous on the clock of presentation times."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from syncnet.container import AnyPath, OnProblem, decoded, ignore, open_media, seconds, shown_span
from syncnet.errors import InputError
from syncnet.sound import Block, placed, rounding

Floats = NDArray[np.float32]

_SILENCE = 48000  # samples of silence handed out at once
_RATED_S = 60.0  # seconds of packets from which a bit rate is measured
_DOLBY_CENTRE = {0: "0.707", 1: "0.595", 2: "0.5"}
_DOLBY_SURROUND = {0: "0.707", 1: "0.5", 2: "0"}


@dataclass(frozen=True)
class TrackFormat:
    """How an audio track is coded.

    `codec` is FFmpeg's name of the codec (not of one of its decoders), `layout` of the channels ("stereo", "5.1"),
    `bit_rate` in bits per second as measured over the first minute, `deep` whether samples have more than 16 bits,
    `lossless` whether the codec keeps every bit, `dolby` the loudness fields of AC-3 as options of its encoder.
    """

    codec: str
    rate: int
    layout: str
    channels: int
    bit_rate: int
    deep: bool
    lossless: bool
    dolby: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SourceSound:
    """A track's sound: `start` (s) of its first sample, and consecutive `chunks` (C, n) float32 to be read once."""

    start: float
    chunks: Iterator[Floats]


def track_format(path: AnyPath, track: int) -> TrackFormat:
    """Read how an audio track is coded; raises InputError when there is no such track or no decoder for it."""
    with open_media(path) as container:
        stream = _stream(container, path, track)
        context = stream.codec_context
        codec = context.codec.canonical_name
        size, first, last, head = 0, math.inf, -math.inf, b""
        for packet in container.demux(stream):
            if not packet.size:
                continue
            head = head or bytes(packet)
            size += packet.size
            if packet.pts is not None:
                time = seconds(stream, packet.pts)
                first, last = min(first, time), max(last, time + seconds(stream, packet.duration or 0))
            if last - first > _RATED_S:
                break
        measured = int(size * 8 / (last - first)) if last > first else 0
        lossless = codec.startswith("pcm_") or codec in ("flac", "alac", "truehd", "mlp", "wavpack", "tta")
        return TrackFormat(
            codec=codec,
            rate=context.sample_rate,
            layout=_layout(context.layout),
            channels=context.layout.nb_channels,
            bit_rate=max(measured, context.bit_rate or 0),
            deep=lossless and context.format.bytes > 2,
            lossless=lossless,
            dolby=dolby_fields(head, codec),
        )


def source_sound(path: AnyPath, track: int, on_problem: OnProblem | None = None) -> SourceSound:
    """Stream an audio track as it is on the clock: gaps between timestamps become silence, overlaps are cut.

    Memory does not grow with the length of the file. Raises InputError when nothing can be decoded.
    """
    chunks = _laid_out(path, track, on_problem or ignore)
    first = next(chunks, None)
    if first is None:
        raise InputError(f"{path}: audio track {track} holds no sound that can be decoded")
    return SourceSound(first[0], (samples for _, samples in chain([first], chunks)))


def dolby_fields(packet: bytes, codec: str) -> tuple[tuple[str, str], ...]:
    """Loudness fields of the first AC-3 or E-AC-3 frame (ATSC A/52, 5.3.2 and E.1.2.2), as encoder options.

    A decoder turns the sound up or down by them, so they must survive re-encoding.
    """
    if codec not in ("ac3", "eac3") or len(packet) < 16 or packet[:2] != b"\x0b\x77":
        return ()
    bits = "".join(f"{byte:08b}" for byte in packet[:16])
    if codec == "eac3":
        short = bits[32:34] == "11"
        dialogue = int(bits[45:50], 2)
        return () if short and not dialogue else (("dialnorm", f"-{dialogue or 31}"),)
    mode, at = int(bits[48:51], 2), 51
    found: list[tuple[str, str]] = []
    if mode & 1 and mode != 1:
        centre, at = int(bits[at : at + 2], 2), at + 2
        found += [("center_mixlev", _DOLBY_CENTRE[centre])] if centre in _DOLBY_CENTRE else []
    if mode & 4:
        surround, at = int(bits[at : at + 2], 2), at + 2
        found += [("surround_mixlev", _DOLBY_SURROUND[surround])] if surround in _DOLBY_SURROUND else []
    at += 2 if mode == 2 else 0
    dialogue = int(bits[at + 1 : at + 6], 2)
    return (*found, ("dialnorm", f"-{dialogue or 31}"))


def _stream(container: InputContainer, path: AnyPath, track: int) -> AudioStream:
    found = container.streams.audio
    if not 0 <= track < len(found):
        raise InputError(f"{path}: there is no audio track {track}; the file has {len(found)}, counted from 0")
    if found[track].codec_context is None:
        raise InputError(f"{path}: audio track {track} is in a codec that FFmpeg cannot decode")
    return found[track]


def _layout(layout: AudioLayout) -> str:
    """The name of a layout; containers such as AVI tell only how many channels there are."""
    return {1: "mono", 2: "stereo"}.get(layout.nb_channels, layout.name) if "channels" in layout.name else layout.name


def _laid_out(path: AnyPath, track: int, report: OnProblem) -> Iterator[tuple[float, Floats]]:
    """Blocks end to end, each with its time."""
    with open_media(path) as container:
        stream = _stream(container, path, track)
        if stream.codec_context.codec.canonical_name in ("ac3", "eac3"):
            stream.codec_context.options = {"drc_scale": "0"}  # else the decoder would flatten the loudness
        rate = stream.codec_context.sample_rate
        start: float | None = None
        written = 0
        for restart, block in placed(_blocks(container, stream, report), rounding(stream)):
            samples = block.samples
            if start is None:
                start = restart or 0.0
            elif restart is not None:
                here = round((restart - start) * rate)
                for silent in _silences(here - written):
                    yield start + written / rate, np.zeros((len(samples), silent), np.float32)
                    written += silent
                samples = samples[:, max(0, written - here) :]
            if samples.shape[1]:
                yield start + written / rate, samples
                written += samples.shape[1]


def _silences(count: int) -> Iterable[int]:
    return (min(_SILENCE, count - done) for done in range(0, count, _SILENCE))


def _blocks(container: InputContainer, stream: AudioStream, report: OnProblem) -> Iterator[Block]:
    """The decoded blocks (C, N) of a track, all brought to its first rate and layout, without what an edit cut off."""
    span = shown_span(container, stream)
    context = stream.codec_context
    rate, layout = context.sample_rate, context.layout.name
    for frame in decoded(container, stream, report):
        if not isinstance(frame, AudioFrame) or frame.samples == 0:
            continue
        time = None if frame.pts is None else seconds(stream, frame.pts)
        if frame.sample_rate != rate or frame.layout.name != layout:
            changed = AudioResampler(format="fltp", layout=layout, rate=rate)
            parts = [*changed.resample(frame), *changed.resample(None)]
            samples = np.concatenate([part.to_ndarray() for part in parts], axis=1)
        else:
            samples = _planar(frame)
        if time is None:
            yield Block(None, rate, samples)
            continue
        first = 0 if time >= span.start else math.ceil((span.start - time) * rate)
        stop = samples.shape[1]
        if time + stop / rate > span.end:
            stop = math.ceil((span.end - time) * rate)
        if first < stop:
            yield Block(time + first / rate, rate, samples[:, first:stop])


def _planar(frame: AudioFrame) -> Floats:
    """A frame's samples (C, N) float32 in [-1, 1]; samples of up to 24 bits come through exactly."""
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype.kind == "u":
        return (channels.astype(np.float32) - np.float32(128)) / np.float32(128)
    if data.dtype.kind == "i":
        return (channels / 2.0 ** (8 * data.dtype.itemsize - 1)).astype(np.float32)
    return np.asarray(channels, dtype=np.float32)
