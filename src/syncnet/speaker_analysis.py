"""One pass through a file for its speakers: faces, sound and curves from `analysis`, then who speaks when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.active_speaker import (
    FPS,
    Scale,
    decide,
    depths,
    log_odds,
    on_grid,
    scale,
    states,
    windowed_mean,
)
from syncnet.analysis import MFCC_RATE, Progress, SoundFeatures, SyncResult, TrackResult, analyse
from syncnet.encoder import DEFAULT_MODEL, Encoder
from syncnet.errors import InputError
from syncnet.media import probe
from syncnet.people import Portrait, as_people
from syncnet.scene_offset import face_offset, scene_offset
from syncnet.speaker_model import SpeakerModel, shipped_model
from syncnet.speaker_results import FaceSpeech, SpeakersResult
from syncnet.tracks import MouthTrack
from syncnet.turns import film_turns
from syncnet.voice import runs, voice_activity

MAX_WINDOW = 1000
"""Longest sliding window in frames."""


@dataclass(frozen=True)
class Watched:
    """What a pass through a file has seen, before anything is decided: decide it again with other windows at no cost.

    `boxes`, `portraits` by track id; `log_energy` `(N,)` at 100 Hz from `sound_start` seconds on; `picture_end`:
    seconds at which the picture ends by the header, 0 when it does not say.
    """

    result: SyncResult
    boxes: dict[int, NDArray[np.float32]]
    portraits: dict[int, Portrait]
    log_energy: NDArray[np.float32]
    sound_start: float
    picture_end: float
    width: int
    height: int


def speakers(
    path: str | PathLike[str],
    *,
    window: int | None = None,
    offset_ms: float | None = None,
    audio_track: int = 0,
    range_s: float = 1.0,
    join_people: bool = False,
    model: str | Path = DEFAULT_MODEL,
    encoder: Encoder | None = None,
    settings: SpeakerModel | None = None,
    on_progress: Progress | None = None,
) -> SpeakersResult:
    """Find out which face speaks when.

    `window`: frames (40 ms) around each moment that its decision rests on, 10 to 100 as a rule; `settings` has the
    usual one. `offset_ms`: audio
    minus video time if it is known; else it is measured. `join_people`: give one name to faces in several shots that
    look alike. Raises `InputError` for what cannot be read or has no picture or no sound; a readable file without faces
    or voice gives a result that says so.
    """
    seen = watch(
        path, range_s=range_s, audio_track=audio_track, model=model, encoder=encoder, on_progress=on_progress
    )
    return who_speaks(seen, window=window, offset_ms=offset_ms, join_people=join_people, settings=settings)


def watch(
    path: str | PathLike[str],
    *,
    range_s: float = 1.0,
    audio_track: int = 0,
    model: str | Path = DEFAULT_MODEL,
    encoder: Encoder | None = None,
    on_progress: Progress | None = None,
) -> Watched:
    """Walk through a file once and keep what decisions rest on; options and errors as in `speakers`."""
    boxes: dict[int, list[NDArray[np.float32]]] = {}
    portraits: dict[int, Portrait] = {}
    sounds: list[SoundFeatures] = []

    def on_track(track: MouthTrack) -> None:
        boxes.setdefault(track.id, []).append(track.boxes)
        portraits[track.id] = best_portrait(track, portraits.get(track.id))

    result = analyse(
        path,
        range_s=range_s,
        audio_track=audio_track,
        model=model,
        encoder=encoder,
        on_progress=on_progress,
        on_track=on_track,
        on_sound=sounds.append,
    )
    picture = probe(path).video[0]
    return Watched(
        result=result,
        boxes={track: np.concatenate(parts) for track, parts in boxes.items()},
        portraits=portraits,
        log_energy=np.ascontiguousarray(sounds[0].mfcc[0]),
        sound_start=sounds[0].start,
        picture_end=picture.start + (picture.duration or 0.0),
        width=picture.width,
        height=picture.height,
    )


def best_portrait(track: MouthTrack, before: Portrait | None) -> Portrait:
    """The frame of a stretch (or of an earlier one) that shows the face largest and most from the front."""
    merit = track.size * np.cos(np.radians(track.yaw)) * np.where(track.seen, 1.0, 0.5)
    at = int(np.argmax(merit))
    found = Portrait(float(track.times[at]), _four(track.boxes[at]), float(merit[at]))
    return found if before is None or found.merit > before.merit else before


def _four(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1


def who_speaks(
    seen: Watched,
    *,
    window: int | None = None,
    offset_ms: float | None = None,
    join_people: bool = False,
    settings: SpeakerModel | None = None,
) -> SpeakersResult:
    """Decide who speaks when from what a pass has seen; options as in `speakers`."""
    result, model = seen.result, settings or shipped_model()
    window = model.window if window is None else window
    if not 1 <= window <= MAX_WINDOW:
        raise InputError(f"The window must be 1 to {MAX_WINDOW} frames long, not {window}.")
    start = result.shots[0] if result.shots else 0.0
    frames = _frames(seen, start)
    parts = [t.curves for t in result.tracks]
    unit = scale(parts)
    offset_s, offset_from = _offset(result.tracks, unit, offset_ms)
    if offset_from == "assumed":  # no face tells: what is nearest to the sound by chance shall not count as its offset
        model = replace(model, apart_s=0.0)
    voice = voice_on_frames(seen, start + offset_s, frames)
    faces: list[FaceSpeech] = []
    offscreen = np.where(voice, 1.0, 0.0)
    for _, tracks in _by_shot(result.tracks):
        found, nobody, first = _shot(tracks, seen, start, voice, offset_s, unit, window, model)
        faces += found
        offscreen[first : first + len(nobody)] = nobody
    people, names = as_people(result.tracks, seen.boxes, seen.portraits, result.file if join_people else None)
    faces = [replace(face, person=names[face.id]) for face in sorted(faces, key=lambda f: (f.start_s, f.id))]
    lines = [(f.person, round((f.start_s - start) * FPS), f.probability) for f in faces]
    turns = film_turns(lines, offscreen, voice, start, model.sure)
    return SpeakersResult(
        file=result.file,
        start_s=start,
        duration_s=result.duration_s,
        width=seen.width,
        height=seen.height,
        offset_ms=offset_s * 1000.0,
        offset_from=offset_from,
        window=window,
        turns=turns,
        faces=tuple(faces),
        people=people,
        voice=tuple((start + a / FPS, start + b / FPS) for a, b in runs(voice)),
        offscreen=offscreen.astype(np.float32),
        shots=result.shots,
        reasons=_reasons(result.tracks, voice),
        problems=result.problems,
        model=result.model,
    )


def _reasons(tracks: Sequence[TrackResult], voice: NDArray[np.bool_]) -> tuple[str, ...]:
    reasons = []
    if not tracks:
        reasons.append("no face was found that could be followed for 0.4 s")
    if not voice.any():
        reasons.append("no voice was heard")
    return tuple(reasons)


def _frames(seen: Watched, start: float) -> int:
    """Number of frames of the film: to the end of the picture, or of the last face where the file does not say."""
    last = max((start + len(boxes) / FPS for boxes in seen.boxes.values()), default=start)
    last = max([last, seen.picture_end, *(t.end_s for t in seen.result.tracks)])
    return max(0, round((last - start) * FPS))


def _offset(tracks: Sequence[TrackResult], unit: Scale, offset_ms: float | None) -> tuple[float, str]:
    """The offset to read the curves at, in seconds, and where it comes from."""
    if offset_ms is not None:
        return offset_ms / 1000.0, "given"
    found = scene_offset([t.curves for t in tracks], [t.shot for t in tracks], unit.spread)
    return found.offset_s, "measured" if found.found else "assumed"


def voice_on_frames(seen: Watched, sound_start: float, frames: int) -> NDArray[np.bool_]:
    """Whether somebody speaks during each of `frames` frames, the first of which goes with the sound at `sound_start`.

    Returns `(frames,)` bool: at least half of the frame's 40 ms.
    """
    heard = voice_activity(seen.log_energy)
    per_frame = round(MFCC_RATE / FPS)
    first = np.floor((sound_start - seen.sound_start) * MFCC_RATE + 0.5) + per_frame * np.arange(frames)
    column = first.astype(int)[:, None] + np.arange(per_frame)
    inside = (column >= 0) & (column < len(heard))
    if not len(heard):
        return np.zeros(frames, bool)
    active = heard[np.clip(column, 0, len(heard) - 1)] & inside
    return np.asarray(active.mean(axis=1) >= 0.5)


def _by_shot(tracks: Sequence[TrackResult]) -> list[tuple[int, list[TrackResult]]]:
    shots = sorted({t.shot for t in tracks})
    return [(shot, [t for t in tracks if t.shot == shot]) for shot in shots]


def _shot(
    tracks: list[TrackResult],
    seen: Watched,
    film_start: float,
    voice: NDArray[np.bool_],
    offset_s: float,
    unit: Scale,
    window: int,
    model: SpeakerModel,
) -> tuple[list[FaceSpeech], NDArray[np.float64], int]:
    """Decide one shot: its faces (not yet named), the off-screen probability of its frames, and its first frame."""
    begin = [round((t.start_s - film_start) * FPS) for t in tracks]
    length = [len(seen.boxes[t.id]) for t in tracks]
    first = min(begin)
    frames = max(b + n for b, n in zip(begin, length, strict=True)) - first
    heard = voice[first : first + frames]
    heard = np.pad(heard, (0, frames - len(heard)))
    depth = np.full((frames, len(tracks)), np.nan)
    present = np.zeros((frames, len(tracks)), bool)
    for column, track in enumerate(tracks):
        rows = slice(begin[column] - first, begin[column] - first + length[column])
        present[rows, column] = True
        at = face_offset(track.curves, offset_s, unit.spread, reach_s=model.apart_s, telling=model.telling)
        own = depths(track.curves, at, unit, model)
        depth[rows, column] = on_grid(track.curves.times, own, track.start_s, length[column])
    decision = decide(log_odds(depth, model), present, heard, window, model)
    faces = []
    for column, track in enumerate(tracks):
        rows = slice(begin[column] - first, begin[column] - first + length[column])
        probability = np.where(heard[rows], decision.speaking[rows, column], 0.0)
        faces.append(
            FaceSpeech(
                id=track.id,
                shot=track.shot,
                person="",
                start_s=track.start_s,
                boxes=seen.boxes[track.id],
                score=windowed_mean(depth[rows, column], window).astype(np.float32),
                probability=probability.astype(np.float32),
                state=states(probability, heard[rows], model.sure),
                face_px=track.face_px,
            )
        )
    nobody = np.where(heard, decision.offscreen, 0.0)[: max(0, len(voice) - first)]
    return faces, nobody, first
