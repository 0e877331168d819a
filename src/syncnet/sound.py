"""Sound: one audio track as mono 16 kHz, continuous on the clock of presentation times."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from syncnet.container import AnyPath, OnProblem, decoded, ignore, open_media, seconds, seek, shown_span
from syncnet.errors import InputError

SAMPLE_RATE = 16000
CHUNK = SAMPLE_RATE  # samples of a streamed chunk: one second

LOOKAHEAD = 16  # blocks that must agree before a small deviation from the timestamps is believed (0.3 s of AAC)
JITTER_S = 0.1  # a larger deviation is a gap or an overlap
ROUNDING_S = 0.5e-3  # timestamps may be this much off, besides one tick of their own time base
SEEK_FROM_S = 10.0  # nearer to the start than this, reading from the start is as fast as seeking
PREROLL_S = 1.0  # decoded before the wanted start: the overlap and bit reservoir of codecs


@dataclass(frozen=True)
class Sound:
    """Mono sound at 16 kHz: `samples` (N,) float32 in [-1, 1]; `start` is the presentation time (s) of sample 0."""

    start: float
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A decoded piece of a track at `rate` Hz, and its timestamp (s) where it has one.

    `samples` float32: (N,) for mono, (C, N) for several channels.
    """

    time: float | None
    rate: int
    samples: NDArray[np.float32]


def sound_chunks(path: AnyPath, *, track: int = 0, on_problem: OnProblem | None = None) -> Iterator[Sound]:
    """Stream one audio track as contiguous chunks of one second, the last one shorter.

    `track` counts the file's audio streams from 0. Channels are averaged. Gaps between timestamps are filled with
    silence, overlaps cut. Damage that is passed over is told to `on_problem` in words. Raises InputError when the
    file cannot be read or has no such track. Memory does not grow with the length of the file.
    """
    with open_media(path) as container:
        stream = _audio_stream(container, path, track)
        empty = True
        for chunk in _in_chunks(_continuous(_blocks(container, stream, on_problem or ignore), rounding(stream))):
            empty = False
            yield chunk
        if empty:
            raise InputError(_nothing(path, track, stream))


def read_sound(
    path: AnyPath,
    *,
    track: int = 0,
    start: float | None = None,
    end: float | None = None,
    on_problem: OnProblem | None = None,
) -> Sound:
    """Read the samples of one audio track whose times lie in [start, end) seconds, the whole track by default.

    The result may be shorter than asked for, or empty, where the track does not reach; its `start` is that of its
    first sample. Raises as `sound_chunks` does.
    """
    with open_media(path) as container:
        stream = _audio_stream(container, path, track)
        if start is not None and start > SEEK_FROM_S:
            seek(container, start - PREROLL_S)
        parts: list[Sound] = []
        empty = True
        continuous = _continuous(_blocks(container, stream, on_problem or ignore), rounding(stream))
        for part in _in_chunks(continuous):
            empty = False
            kept = _cut(part, start, end)
            if kept.samples.size:
                parts.append(kept)
            if end is not None and part.start >= end:
                break
        if empty and start is None:
            raise InputError(_nothing(path, track, stream))
    if not parts:
        return Sound(start or 0.0, np.zeros(0, np.float32))
    return Sound(parts[0].start, np.concatenate([part.samples for part in parts]))


def _cut(sound: Sound, start: float | None, end: float | None) -> Sound:
    """The samples of a sound whose times lie in [start, end)."""
    first = 0 if start is None else max(0, int(np.ceil((start - sound.start) * SAMPLE_RATE - 1e-6)))
    stop = sound.samples.size if end is None else max(0, int(np.ceil((end - sound.start) * SAMPLE_RATE - 1e-6)))
    return Sound(sound.start + first / SAMPLE_RATE, sound.samples[first:stop])


def _audio_stream(container: InputContainer, path: AnyPath, track: int) -> AudioStream:
    found = container.streams.audio
    if not found:
        raise InputError(f"{path}: there is no audio stream in this file")
    if not 0 <= track < len(found):
        has = "one audio track, number 0" if len(found) == 1 else f"{len(found)} audio tracks, 0 to {len(found) - 1}"
        raise InputError(f"{path}: there is no audio track {track}; the file has {has}")
    if found[track].codec_context is None:
        raise InputError(f"{path}: audio track {track} is in a codec that FFmpeg cannot decode")
    return found[track]


def _nothing(path: AnyPath, track: int, stream: AudioStream) -> str:
    return f"{path}: no sound of audio track {track} ({stream.name}) can be decoded"


def rounding(stream: AudioStream) -> float:
    return ROUNDING_S + (float(stream.time_base) if stream.time_base else 0.0)


def _blocks(container: InputContainer, stream: AudioStream, report: OnProblem) -> Iterator[Block]:
    """The decoded blocks of a track, downmixed by averaging the channels, at the rate they have."""
    span = shown_span(container, stream)
    for frame in decoded(container, stream, report):
        if not isinstance(frame, AudioFrame) or frame.samples == 0:
            continue
        samples, rate = _mono(frame), frame.sample_rate
        if frame.pts is None:
            yield Block(None, rate, samples)
            continue
        time = seconds(stream, frame.pts)
        first = 0 if time >= span.start else math.ceil((span.start - time) * rate)
        stop = samples.size if time + samples.size / rate <= span.end else math.ceil((span.end - time) * rate)
        if first < stop:
            yield Block(time + first / rate, rate, samples[first:stop])


def _mono(frame: AudioFrame) -> NDArray[np.float32]:
    """The mean of a frame's channels, (samples,) float32 in [-1, 1]."""
    if frame.format.name.startswith("s64"):  # numpy has no place in PyAV for this one
        frame = AudioResampler(format="dblp").resample(frame)[0]
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels).T
    mean: NDArray[np.float32] = channels.mean(axis=0, dtype=np.float32)
    if data.dtype.kind == "u":
        return (mean - np.float32(128)) / np.float32(128)
    if data.dtype.kind == "i":
        return mean / np.float32(2 ** (8 * data.dtype.itemsize - 1))
    return mean


def _continuous(blocks: Iterable[Block], tolerance: float) -> Iterator[Sound]:
    """Resample blocks to 16 kHz and lay them end to end at their times: gaps filled with silence, overlaps cut."""
    start: float | None = None
    written = 0
    for time, samples in _resampled_runs(placed(blocks, tolerance)):
        if start is None:
            start = time
        here = round((time - start) * SAMPLE_RATE)
        while written < here:
            silence = np.zeros(min(CHUNK, here - written), np.float32)
            yield Sound(start + written / SAMPLE_RATE, silence)
            written += silence.size
        new = samples[written - here :]
        if new.size:
            yield Sound(start + written / SAMPLE_RATE, new)
            written += new.size


def _resampled_runs(placed: Iterable[tuple[float | None, Block]]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Resample each run of blocks that follow on one another; yields the time (s) and samples of each piece.

    libswresample centres its filter on the first sample and is drained at the end of a run, so a run keeps its place
    to a fraction of a sample and comes out as long as it went in.
    """
    start = 0.0
    written = 0
    resampler: AudioResampler | None = None
    for restart, block in placed:
        if restart is not None:
            for samples in _resample(resampler, None):
                yield start + written / SAMPLE_RATE, samples
                written += samples.size
            start, written = restart, 0
            resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        for samples in _resample(resampler, block):
            yield start + written / SAMPLE_RATE, samples
            written += samples.size
    for samples in _resample(resampler, None):
        yield start + written / SAMPLE_RATE, samples
        written += samples.size


def _resample(resampler: AudioResampler | None, block: Block | None) -> list[NDArray[np.float32]]:
    """Give a block to a resampler, or None to drain it; the pieces that come out, clipped to [-1, 1]."""
    if resampler is None:
        return []
    frame = None
    if block is not None:
        frame = AudioFrame.from_ndarray(block.samples[None], format="flt", layout="mono")
        frame.sample_rate = block.rate
    out = [piece for piece in resampler.resample(frame) if piece is not None]
    return [np.clip(piece.to_ndarray()[0].astype(np.float32, copy=False), -1, 1) for piece in out]


def placed(blocks: Iterable[Block], tolerance: float) -> Iterator[tuple[float | None, Block]]:
    """Pair each block with the time (s) at which it restarts the sound, or None where it follows on the one before."""
    source = iter(blocks)
    ahead = deque(islice(source, LOOKAHEAD))
    rate = 0
    position = _start(ahead)
    while ahead:
        block = ahead[0]
        deviation = _deviation(ahead, position, tolerance)
        position += deviation
        yield (position if deviation or block.rate != rate else None), block
        rate = block.rate
        position += block.samples.shape[-1] / rate
        ahead.popleft()
        ahead.extend(islice(source, 1))


def _start(ahead: Iterable[Block]) -> float:
    """When (s) the first block ahead begins: by its own timestamp, or, if most disagree with it, by theirs."""
    starts: list[float] = []
    elapsed = 0.0
    for block in ahead:
        if block.time is not None:
            starts.append(block.time - elapsed)
        elapsed += block.samples.shape[-1] / block.rate
    if not starts:
        return 0.0
    agreeing = sum(abs(start - starts[0]) <= JITTER_S for start in starts)
    return starts[0] if agreeing >= len(starts) / 2 else statistics.median(starts)


def _deviation(ahead: deque[Block], position: float, tolerance: float) -> float:
    """How far (s) the sound must leap at the first block ahead to keep to the timestamps; 0 to go on.

    Timestamps are rounded, jitter and may be damaged: a large deviation counts when most blocks ahead share it, a
    small one when all deviate to the same side.
    """
    deviations: list[float] = []
    for block in ahead:
        if block.time is not None:
            deviations.append(block.time - position)
            if abs(deviations[0]) <= tolerance:
                return 0.0
        position += block.samples.shape[-1] / block.rate
    if not deviations:
        return 0.0
    first = deviations[0]
    if abs(first) > JITTER_S and sum(abs(d - first) <= JITTER_S for d in deviations) > len(deviations) / 2:
        return first
    if any(abs(d) <= tolerance or d * first < 0 for d in deviations):
        return 0.0
    return min(deviations, key=abs)


def _in_chunks(sounds: Iterable[Sound]) -> Iterator[Sound]:
    """Cut contiguous sounds anew into chunks of CHUNK samples, the last one shorter."""
    held: list[NDArray[np.float32]] = []
    size = 0
    start = 0.0
    for sound in sounds:
        if not held:
            start = sound.start
        held.append(sound.samples)
        size += sound.samples.size
        if size >= CHUNK:
            whole = np.concatenate(held)
            full = size - size % CHUNK
            for at in range(0, full, CHUNK):
                yield Sound(start + at / SAMPLE_RATE, whole[at : at + CHUNK])
            held = [whole[full:]] if size > full else []
            start += full / SAMPLE_RATE
            size -= full
    if size:
        yield Sound(start, np.concatenate(held))
