"""One pass through a file: sound, then pictures, then for every stretch of a face its curves; bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.encoder import DEFAULT_MODEL, WINDOW_FRAMES, WINDOW_S, Encoder, default_encoder
from syncnet.errors import InputError, NoAnswer
from syncnet.media import FPS, Frame, MediaInfo, frames, probe, sound_chunks
from syncnet.mfcc import mfcc_stream
from syncnet.offset import ClipOffset, Curves, TrustLimits, clip_offset, distances, in_words, join
from syncnet.tracks import MouthTrack, mouth_tracks

MFCC_RATE = 100
"""Columns of MFCC a second."""

_CONTEXT_S = 2.0  # sound on either side of a stretch, beyond the range, that its statistics are taken from
_LEAST_FPS = 10.0  # slower pictures show no syllables
_LEAST_S = 0.4  # ten frames: what a track must have, six windows
_SILENT_RMS = 10 ** (-65 / 20)  # sound that nowhere gets louder than this holds no speech

Progress = Callable[[float, float | None], None]
"""Called with seconds of picture done and seconds in all (None when the file does not say)."""


@dataclass(frozen=True)
class SoundFeatures:
    """The sound of a whole file as the network takes it: 5 kB a second, so that three hours fit in 60 MB.

    `mfcc`: `(13, N)` float32, column j covers `start + j / 100` seconds and the 25 ms after it. `loudest`: the largest
    RMS over 0.1 s, full scale 1.
    """

    start: float
    mfcc: NDArray[np.float32]
    loudest: float

    @property
    def end(self) -> float:
        """Seconds of presentation time at which the last column starts."""
        return self.start + int(self.mfcc.shape[1]) / MFCC_RATE


@dataclass(frozen=True)
class TrackResult:
    """What one face track says. `offset` is None when none of its windows has sound beside it.

    `id`, `shot`: as in `MouthTrack`. `start_s`, `end_s`: presentation time. `curves`: the windows' distance curves.
    `face_px`: median outer-eye-corner distance in pixels; `yaw_deg`: median head turn, positive to the right.
    """

    id: int
    shot: int
    start_s: float
    end_s: float
    offset: ClipOffset | None
    curves: Curves
    face_px: float
    yaw_deg: float

    @property
    def offset_ms(self) -> float | None:
        """Audio time minus video time in milliseconds, or None."""
        return None if self.offset is None else self.offset.offset_ms

    @property
    def confidence(self) -> float:
        """Median minus minimum of the track's mean curve, 0 without an offset."""
        return 0.0 if self.offset is None else self.offset.confidence


@dataclass(frozen=True)
class SyncResult:
    """The answer for a file.

    `offset`: from the windows of all tracks together, None when there is no answer; `reasons`: why there is none or why
    it should not be trusted, in words. `tracks`: in order of time. `shots`: start of each shot in seconds. `problems`:
    what was wrong with the file itself. `model`: name, version and hash of the network.
    """

    file: str
    duration_s: float
    offset: ClipOffset | None
    reasons: tuple[str, ...]
    tracks: tuple[TrackResult, ...]
    shots: tuple[float, ...]
    problems: tuple[str, ...]
    model: dict[str, str]
    curves: Curves | None = field(default=None, repr=False)

    @property
    def offset_ms(self) -> float | None:
        """Audio time minus video time in milliseconds: negative early, positive late; None when there is no answer."""
        return None if self.offset is None else self.offset.offset_ms

    @property
    def confidence(self) -> float:
        """Median minus minimum of the mean distance curve: 0 nothing found, distances go to 20."""
        return 0.0 if self.offset is None else self.offset.confidence

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of the offset in milliseconds, None for clips too short for one."""
        return None if self.offset is None else self.offset.interval_ms

    @property
    def trusted(self) -> bool:
        """Whether there is an answer and nothing speaks against it."""
        return self.offset is not None and not self.reasons

    @property
    def windows_used(self) -> int:
        """Windows that are sure by themselves."""
        return 0 if self.offset is None else self.offset.windows_used

    @property
    def windows_total(self) -> int:
        """Windows of 0.2 s that have picture and sound."""
        return 0 if self.offset is None else self.offset.windows_total

    @property
    def in_words(self) -> str:
        """The answer as one would say it."""
        if self.offset is None:
            return "no answer: " + "; ".join(self.reasons)
        return in_words(self.offset.offset_ms)


def analyse(
    path: str | PathLike[str],
    *,
    range_s: float = 1.0,
    audio_track: int = 0,
    model: str | Path = DEFAULT_MODEL,
    encoder: Encoder | None = None,
    limits: TrustLimits | None = None,
    on_progress: Progress | None = None,
    on_track: Callable[[MouthTrack], None] | None = None,
    on_sound: Callable[[SoundFeatures], None] | None = None,
) -> SyncResult:
    """Measure a file: how far its sound is from its lips.

    `range_s`: offsets searched, seconds either way, up to 10. `audio_track`: which of several sound tracks, from 0.
    `on_track` is handed every stretch of mouth crops as it is done, `on_sound` the sound once it is read. Raises
    `InputError` for what cannot be read or has no picture or no sound; a readable file without an answer gives a result
    that says why.
    """
    problems: list[str] = []
    info = probe(path)
    if not info.video:
        raise InputError(f"{path}: no picture in this file, only sound. There are no lips to compare with.")
    if not info.audio:
        raise InputError(f"{path}: no sound in this file. There is nothing to compare the lips with.")
    encoder = encoder or default_encoder(str(model))
    sound = sound_features(path, audio_track, problems)
    if on_sound:
        on_sound(sound)
    cuts: list[float] = []
    shown: deque[float] = deque(maxlen=1)
    pictures = _watched(frames(path, on_problem=problems.append), info, on_progress, shown)
    pieces: dict[int, list[_Piece]] = {}
    for track in mouth_tracks(pictures, on_cut=cuts.append):
        if on_track:
            on_track(track)
        pieces.setdefault(track.id, []).append(measure_track(track, sound, encoder, range_s))
    curves, tracks = _joined([p for found in pieces.values() for p in found], limits)
    offset, reasons = _answer(tracks, curves, sound, limits)
    lasts = shown[-1] - cuts[0] + 1 / FPS if shown else 0.0
    if offset is None and lasts < _LEAST_S:
        reasons = (f"too short: {lasts:.2f} s of picture, a face must be seen for {_LEAST_S:g} s",)
    rate = info.video[0].fps
    if 0 < rate < _LEAST_FPS:
        reasons = (*reasons, f"only {rate:.3g} pictures a second: lips cannot be read below {_LEAST_FPS:g}")
    return SyncResult(
        file=str(path),
        duration_s=info.duration or max((t.end_s for t in tracks), default=0.0),
        offset=offset,
        reasons=reasons,
        tracks=tuple(tracks),
        shots=tuple(cuts),
        problems=tuple(dict.fromkeys(problems)),
        model=encoder.model.identity,
        curves=curves,
    )


def sound_features(path: str | PathLike[str], audio_track: int, problems: list[str]) -> SoundFeatures:
    """Read the sound of a file as MFCC, streaming; damage is added to `problems`."""
    start: list[float] = []
    loudest = 0.0

    def samples() -> Iterator[NDArray[np.float32]]:
        nonlocal loudest
        for chunk in sound_chunks(path, track=audio_track, on_problem=problems.append):
            if not start:
                start.append(chunk.start)
            if len(chunk.samples):
                rows = np.array_split(chunk.samples, max(1, len(chunk.samples) // 1600))
                loudest = max(loudest, *(float(np.sqrt(np.mean(np.square(r)))) for r in rows))
            yield chunk.samples

    columns = list(mfcc_stream(samples()))
    if not columns:
        raise InputError(f"{path}: its sound track holds no sound that can be decoded.")
    return SoundFeatures(start[0], np.concatenate(columns, axis=1), loudest)


@dataclass(frozen=True)
class _Piece:
    """What is kept of a stretch of a track once its crops are gone."""

    track: MouthTrack  # with no crops
    start: float
    end: float
    curves: Curves


def measure_track(track: MouthTrack, sound: SoundFeatures, encoder: Encoder, range_s: float) -> _Piece:
    """Compare a stretch of mouth crops with the sound around it."""
    video = encoder.embed_video(track.crops)
    video_times = track.start + np.arange(len(video)) / FPS + WINDOW_S / 2
    audio, audio_times = embed_sound(sound, track.start, track.end, range_s, encoder)
    curves = distances(video, audio, video_times, audio_times, range_s)
    return _Piece(_without_crops(track), track.start, track.end, curves)


def embed_sound(
    sound: SoundFeatures, start: float, end: float, range_s: float, encoder: Encoder
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Embed the sound from `range_s` before `start` to as much after `end`: `(N, 256)` and the windows' middles `(N,)`.

    Its statistics are taken from exactly this stretch (and a little around it).
    """
    reach = range_s + _CONTEXT_S
    first = max(0, int(np.floor((start - reach - sound.start) * MFCC_RATE)))
    last = max(first, int(np.ceil((end + reach - sound.start) * MFCC_RATE)))
    audio = encoder.embed_audio(sound.mfcc[:, first:last])
    return audio, sound.start + (first + np.arange(len(audio))) / MFCC_RATE + WINDOW_S / 2


def _without_crops(track: MouthTrack) -> MouthTrack:
    return replace(track, crops=track.crops[:0])


def _joined(pieces: list[_Piece], limits: TrustLimits | None) -> tuple[Curves | None, list[TrackResult]]:
    """All curves as one, tracks in order of time, and the result of each track, whose curves are parts of the whole."""
    if not pieces:
        return None, []
    begin = {p.track.id: p.start for p in reversed(pieces)}
    pieces = sorted(pieces, key=lambda p: (begin[p.track.id], p.track.id, p.start))
    whole = join([p.curves for p in pieces])
    results, first = [], 0
    for _, group in groupby(pieces, key=lambda p: p.track.id):
        own = list(group)
        last = first + sum(len(p.curves.times) for p in own)
        curves = Curves(whole.times[first:last], whole.offsets_s, whole.distance[first:last])
        results.append(_track_result(own, curves, limits))
        first = last
    return whole, results


def _track_result(pieces: list[_Piece], curves: Curves, limits: TrustLimits | None) -> TrackResult:
    try:
        offset: ClipOffset | None = clip_offset(curves, limits)
    except NoAnswer:
        offset = None
    return TrackResult(
        id=pieces[0].track.id,
        shot=pieces[0].track.shot,
        start_s=pieces[0].start,
        end_s=pieces[-1].end,
        offset=offset,
        curves=curves,
        face_px=float(np.median(np.concatenate([p.track.size for p in pieces]))),
        yaw_deg=float(np.median(np.concatenate([p.track.yaw for p in pieces]))),
    )


def _answer(
    tracks: list[TrackResult], curves: Curves | None, sound: SoundFeatures, limits: TrustLimits | None
) -> tuple[ClipOffset | None, tuple[str, ...]]:
    """The file's offset from all of its windows, or the reason why there is none."""
    if curves is None:
        return None, ("no face was found that could be followed for 0.4 s",)
    if sound.loudest < _SILENT_RMS:
        return None, ("the sound is silent throughout",)
    if len(curves.times) < WINDOW_FRAMES:
        return None, ("too short: a face must be seen for at least 0.4 s",)
    try:
        offset = clip_offset(curves, limits)
    except NoAnswer as nothing:
        return None, (str(nothing),)
    return offset, offset.reasons


def _watched(
    source: Iterator[Frame], info: MediaInfo, on_progress: Progress | None, shown: deque[float]
) -> Iterator[Frame]:
    """Pass frames on, keep the time of the last one in `shown`, report once a second of picture."""
    first: float | None = None
    for number, frame in enumerate(source):
        first = frame.time if first is None else first
        shown.append(frame.time)
        if on_progress and number % int(FPS) == 0:
            on_progress(frame.time - first, info.duration)
        yield frame


def only_track(result: SyncResult, track_id: int) -> SyncResult:
    """The same result as if only one of its tracks were there; raises `InputError` when there is no such track."""
    chosen = next((t for t in result.tracks if t.id == track_id), None)
    if chosen is None:
        known = ", ".join(str(t.id) for t in result.tracks) or "none"
        raise InputError(f"{result.file}: no track {track_id}; found: {known}.")
    reasons = chosen.offset.reasons if chosen.offset else ("no sound beside this track",)
    return replace(result, offset=chosen.offset, reasons=reasons, tracks=(chosen,), curves=chosen.curves)
