"""One pass through a file: sound, then pictures, then for every stretch of a face its curves; bounded memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves, distances, gather
from syncnet.encoder import DEFAULT_MODEL, WINDOW_FRAMES, WINDOW_S, Encoder, default_encoder
from syncnet.errors import InputError, NoAnswer
from syncnet.media import FPS, frames, probe
from syncnet.offset import ClipOffset, TrustLimits, clip_offset
from syncnet.presence import STEADY_DB, STILL, is_chance, lip_movement, sound_rise
from syncnet.results import SyncResult, TrackResult
from syncnet.sound_features import MFCC_RATE, SoundFeatures, sound_features
from syncnet.tracks import MouthTrack, mouth_tracks
from syncnet.watching import Progress, Shown, Told, watched

__all__ = [
    "MFCC_RATE",
    "Comparison",
    "Progress",
    "SoundFeatures",
    "SyncResult",
    "TrackResult",
    "analyse",
    "compare",
    "embed_sound",
    "sound_features",
]

_CONTEXT_S = 2.0  # sound on either side of a stretch, beyond the range, that its statistics are taken from
_PIECE_S = 20.0  # of a face are compared at once: bounds memory
_LEAST_FPS = 10.0  # slower pictures show no syllables
_LEAST_S = 0.4  # ten frames: what a track must have, six windows
_MISSING_S = 1.0  # sound that begins this much after the picture, or ends this much before it, is worth a word
_SILENT_RMS = 10 ** (-65 / 20)  # sound that nowhere gets louder than this holds no speech


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
    told = Told(on_progress, info.duration)
    sound = sound_features(path, audio_track, problems, told.heard)
    if on_sound:
        on_sound(sound)
    cuts: list[float] = []
    shown = Shown()

    def handed_on(track: MouthTrack) -> MouthTrack:
        if on_track:
            on_track(track)
        return track

    pictures = watched(frames(path, on_problem=problems.append), told, shown)
    stretches = map(handed_on, mouth_tracks(pictures, piece_s=_PIECE_S, on_cut=cuts.append))  # a map holds on to none
    found = compare(stretches, sound, encoder, range_s=range_s, limits=limits)
    if shown.seconds < _LEAST_S:
        lasts = f"{shown.seconds:.2f} s of picture"
        found = found.without_answer(f"too short: {lasts}, a face must be seen for {_LEAST_S:g} s")
    elif shown.fps < _LEAST_FPS and found.tracks:
        rate = f"{shown.fps:.2g} pictures a second"
        found = found.without_answer(f"too few pictures: {rate}, and lips cannot be read below {_LEAST_FPS:g}")
    if sound.end < shown.last - _MISSING_S or sound.start > shown.first + _MISSING_S:
        problems.append(
            f"the sound lasts from {sound.start:.1f} to {sound.end:.1f} s, the picture from {shown.first:.1f} to "
            f"{shown.last:.1f} s: only where there are both they are compared"
        )
    return SyncResult(
        file=str(path),
        duration_s=info.duration or max((t.end_s for t in found.tracks), default=0.0),
        offset=found.offset,
        reasons=found.reasons,
        tracks=found.tracks,
        shots=tuple(cuts),
        problems=tuple(dict.fromkeys(problems)),
        model=encoder.model.identity,
        curves=found.curves,
    )


@dataclass(frozen=True)
class Comparison:
    """What the faces of a film and its sound say together.

    `offset`: from the windows of all tracks, None when there is no answer; `reasons`: why there is none, or why not to
    trust it. `tracks`: in order of time; their curves are parts of `curves`, which is None where no face was followed.
    """

    offset: ClipOffset | None
    reasons: tuple[str, ...]
    tracks: tuple[TrackResult, ...]
    curves: Curves | None

    def without_answer(self, why: str) -> Comparison:
        """The same, but that there is no answer for one single reason."""
        tracks = tuple(replace(t, offset=None, nothing=(why,)) for t in self.tracks)
        return Comparison(None, (why,), tracks, self.curves)


def compare(
    stretches: Iterable[MouthTrack],
    sound: SoundFeatures,
    encoder: Encoder,
    *,
    range_s: float = 1.0,
    limits: TrustLimits | None = None,
) -> Comparison:
    """Compare the stretches of all face tracks with the sound around them, letting each go once it is embedded."""
    limits = limits or TrustLimits(windows_per_draw=encoder.frames_seen)
    by_track: dict[int, list[_Piece]] = {}
    apart: dict[int, list[Curves]] = {}
    for piece, curves in _one_ahead(stretches, partial(_measured, sound=sound, encoder=encoder, range_s=range_s)):
        by_track.setdefault(piece.track.id, []).append(piece)
        apart.setdefault(piece.track.id, []).append(curves)
        del curves  # or this one would be held twice below
    if not by_track:
        return Comparison(None, ("no face was found that could be followed for 0.4 s",), (), None)
    groups = sorted(by_track.values(), key=lambda own: (own[0].start, own[0].track.id))
    whole = gather([curves for own in groups for curves in apart.pop(own[0].track.id)])
    tracks, first = [], 0
    for own in groups:
        last = first + sum(piece.windows for piece in own)
        curves = Curves(whole.times[first:last], whole.offsets_s, whole.distance[first:last])
        tracks.append(_track_result(own, curves, limits))
        first = last
    offset, reasons = _read_offset([piece for own in groups for piece in own], whole, limits)
    found = Comparison(offset, reasons, tuple(tracks), whole)
    if sound.loudest < _SILENT_RMS:
        return found.without_answer("the sound is silent throughout")
    if len(whole.times) < WINDOW_FRAMES:
        return found.without_answer(f"too short: a face must be seen for at least {_LEAST_S:g} s")
    return found


@dataclass(frozen=True)
class _Piece:
    """What is kept of a stretch of a track once its crops are gone."""

    track: MouthTrack  # with no crops
    start: float
    end: float
    windows: int
    rise_db: float  # of the sound within the range of offsets
    movement: float  # of the lips


def _one_ahead(
    stretches: Iterable[MouthTrack], work: Callable[[MouthTrack], tuple[_Piece, Curves]]
) -> Iterator[tuple[_Piece, Curves]]:
    """Work on every stretch, in order, in a thread of its own, while faces are followed through the next one here."""
    with ThreadPoolExecutor(1) as thread:
        running: Future[tuple[_Piece, Curves]] | None = None
        for stretch in stretches:
            done, running = running, thread.submit(work, stretch)
            del stretch
            if done:
                yield done.result()
                del done
        if running:
            yield running.result()


def _measured(
    track: MouthTrack, sound: SoundFeatures, encoder: Encoder, range_s: float
) -> tuple[_Piece, Curves]:
    """Compare a stretch of mouth crops with the sound around it."""
    video = encoder.embed_video(track.crops)
    video_times = track.start + np.arange(len(video)) / FPS + WINDOW_S / 2
    audio, audio_times = embed_sound(sound, track.start, track.end, range_s, encoder)
    curves = distances(video, audio, video_times, audio_times, range_s)
    _give_back()
    piece = _Piece(
        track=replace(track, crops=track.crops[:0].copy()),  # a view would keep all crops alive
        start=track.start,
        end=track.end,
        windows=len(curves.times),
        rise_db=sound_rise(sound.between(track.start - range_s, track.end + range_s)[0]),
        movement=lip_movement(track.mouth_open, track.seen),
    )
    return piece, curves


def _give_back() -> None:
    """Have glibc hand freed memory back to the system: scattered over its arenas it adds up on a long film."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def embed_sound(
    sound: SoundFeatures, start: float, end: float, range_s: float, encoder: Encoder
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Embed the sound from `range_s` before `start` to as much after `end`: `(N, 256)` and the windows' middles `(N,)`.

    Its statistics are taken from exactly this stretch (and a little around it). The middles are moved by the model's
    zero, so that distances at equal times are those of sound in sync.
    """
    reach = range_s + _CONTEXT_S
    first = max(0, int(np.floor((start - reach - sound.start) * MFCC_RATE)))
    last = max(first, int(np.ceil((end + reach - sound.start) * MFCC_RATE)))
    audio = encoder.embed_audio(sound.mfcc[:, first:last])
    zero = sound.start + WINDOW_S / 2 - encoder.zero_s
    return audio, zero + (first + np.arange(len(audio))) / MFCC_RATE


def _track_result(pieces: list[_Piece], curves: Curves, limits: TrustLimits) -> TrackResult:
    offset, reasons = _read_offset(pieces, curves, limits)
    return TrackResult(
        id=pieces[0].track.id,
        shot=pieces[0].track.shot,
        start_s=pieces[0].start,
        end_s=pieces[-1].end,
        offset=offset,
        curves=curves,
        face_px=float(np.median(np.concatenate([p.track.size for p in pieces]))),
        yaw_deg=float(np.median(np.concatenate([p.track.yaw for p in pieces]))),
        nothing=() if offset else reasons,
    )


def _read_offset(
    pieces: list[_Piece], curves: Curves, limits: TrustLimits
) -> tuple[ClipOffset | None, tuple[str, ...]]:
    """An offset and what speaks against trusting it; or None, and why there is nothing to measure."""
    if max(p.rise_db for p in pieces) < STEADY_DB:
        return None, ("no speech is heard while a face is seen: the sound is silence, steady noise or hum",)
    if max(p.movement for p in pieces) < STILL:
        return None, ("the mouth does not move: a still picture, or somebody who does not speak",)
    try:
        offset = clip_offset(curves, limits)
    except NoAnswer as nothing:
        return None, (str(nothing),)
    if is_chance(offset, limits):
        return None, (
            "lips and sound fit at no offset within the range better than by chance: music, a voice that is not this "
            "face's, or an offset outside the range",
        )
    return offset, offset.reasons
