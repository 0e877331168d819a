"""From one recording to clips that can teach, along the same road (shots, faces, tracks) that inference walks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import SyncNetError
from syncnet.media import FPS, SAMPLE_RATE, frames, read_sound
from syncnet.tracks import MouthTrack, mouth_tracks


@dataclass(frozen=True)
class PrepareConfig:
    """What decides the content of shards: part of the manifest's first line, so that runs do not mix."""

    crop_size: int = 128  # the network sees the middle 111; the margin is for shifting and turning
    sound_margin_s: float = 2.2  # sound kept before and after the pictures, for shifted negatives
    min_frames: int = 20  # shorter runs teach little: 0.8 s
    min_face: float = 14.0  # outer-eye-corner distance in pixels under which a mouth is a smear (about a 30 px face)
    rival_size: float = 0.6  # another face at least this large relative to ours makes the window two-faced
    min_level_db: float = -60.0  # quieter sound over the whole clip is called silence


@dataclass(frozen=True)
class Clip:
    """One face, one shot, one run of pictures with its sound: what a manifest line and its bytes hold.

    `crops`: `(T, S, S)` uint8 at 25 fps. `sound`: `(N,)` int16 at 16 kHz, beginning `sound_lead_s` seconds before the
    first picture. `start_s`: presentation time of the first picture in the source.
    """

    track: int
    start_s: float
    crops: NDArray[np.uint8]
    sound: NDArray[np.int16]
    sound_lead_s: float
    quality: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """What one file gave: clips, why the rest was left out (frames by reason), and what was wrong with the file."""

    clips: tuple[Clip, ...] = ()
    rejected: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    error: str | None = None


def prepare_file(path: Path, config: PrepareConfig) -> Prepared:
    """Turn one video into clips: a pure function of file and config, so that any pool or cluster can map it.

    A file that cannot be read gives `error` instead of raising, so that one bad file never stops a corpus.
    """
    problems: list[str] = []
    try:
        tracks = list(mouth_tracks(frames(path, on_problem=problems.append), crop=config.crop_size))
        sound = read_sound(path, on_problem=problems.append)
    except SyncNetError as error:
        return Prepared(error=str(error), problems=tuple(problems))
    rejected: Counter[str] = Counter()
    if not tracks:
        rejected["no face (files)"] += 1
    clips: list[Clip] = []
    for track in tracks:
        usable, reasons = _usable(track, [t for t in tracks if t is not track], config)
        rejected.update(reasons)
        for first, last in _runs(usable):
            if last - first < config.min_frames:
                rejected["run too short"] += last - first
                continue
            clip = _clip(track, first, last, sound.samples, sound.start, config)
            level = 10 * np.log10(np.mean((clip.sound / 32768.0) ** 2) + 1e-12) if len(clip.sound) else -np.inf
            if level < config.min_level_db:
                rejected["silence"] += last - first
                continue
            clips.append(clip)
    return Prepared(tuple(clips), dict(rejected), tuple(problems))


def _usable(
    track: MouthTrack, others: list[MouthTrack], config: PrepareConfig
) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Which frames of a track may teach, and how many were refused for which reason."""
    reasons: Counter[str] = Counter()
    small = track.size < config.min_face
    crowded = np.zeros(len(small), bool)
    for other in others:
        at = np.rint((track.times - other.start) * FPS).astype(int)
        inside = (at >= 0) & (at < len(other.size))
        crowded[inside] |= other.size[at[inside]] > config.rival_size * track.size[inside]
    reasons["bridged"] = int((~track.seen).sum())
    reasons["face too small"] = int((track.seen & small).sum())
    reasons["more than one face"] = int((track.seen & ~small & crowded).sum())
    return track.seen & ~small & ~crowded, +reasons


def _runs(usable: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open index ranges over which `usable` is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], usable.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(last)


def _clip(
    track: MouthTrack, first: int, last: int, samples: NDArray[np.float32], sound_start: float, config: PrepareConfig
) -> Clip:
    """Cut pictures `first:last` of a track and the sound around them."""
    start = track.start + first / FPS
    end = track.start + last / FPS
    a = max(0, round((start - config.sound_margin_s - sound_start) * SAMPLE_RATE))
    b = max(a, min(len(samples), round((end + config.sound_margin_s - sound_start) * SAMPLE_RATE)))
    sound = np.clip(np.rint(samples[a:b] * 32768.0), -32768, 32767).astype(np.int16)
    size, yaw = track.size[first:last], track.yaw[first:last]
    return Clip(
        track=track.id,
        start_s=start,
        crops=track.crops[first:last],
        sound=sound,
        sound_lead_s=start - (sound_start + a / SAMPLE_RATE),
        quality={
            "face_px": round(float(np.median(size)), 1),
            "yaw_deg": round(float(np.median(np.abs(yaw))), 1),
            "mouth_motion": round(float(np.std(track.mouth_open[first:last])), 4),
        },
    )
