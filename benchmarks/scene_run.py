"""Made scenes through the product's own road from tracks and sound to decisions, and through the peer's."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from lr_asd import Peer
from numpy.typing import NDArray
from scene_clips import KEPT
from scene_make import NOBODY, OFFSCREEN, Scene, Shown, sound, truth

from syncnet.active_speaker import windowed_mean
from syncnet.analysis import SoundFeatures, SyncResult, TrackResult, embed_sound
from syncnet.curves import distances
from syncnet.encoder import WINDOW_S, Encoder
from syncnet.media import FPS
from syncnet.mfcc import mfcc
from syncnet.people import Portrait
from syncnet.speaker_analysis import Watched, who_speaks
from syncnet.speaker_model import SpeakerModel

RANGE_S = 1.0
PANEL = 400.0
"""Pixels from one face to the next, in the picture that a scene would have."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A scene after one pass: what the product decides from, whose each track is, and the truth `(T,)`."""

    scene: Scene
    watched: Watched
    person: dict[int, int]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Named:
    """Who is named at each frame of a scene, `(T,)`, as in the truth; and each face's score and label at each frame.

    `chosen`: the likeliest of the faces alone, whatever was named. `scores`, `labels`: over all faces and frames.
    """

    who: NDArray[np.int64]
    chosen: NDArray[np.int64]
    scores: Floats
    labels: NDArray[np.bool_]


class Watcher:
    """Walks through scenes with one model; pictures that were embedded once are not embedded again."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._embedded: dict[tuple[str, bytes], NDArray[np.float32]] = {}

    def watch(self, scene: Scene) -> Seen:
        """See a scene: curves of every face in every shot."""
        features = SoundFeatures(0.0, mfcc(sound(scene)), 1.0)
        tracks: list[TrackResult] = []
        boxes: dict[int, NDArray[np.float32]] = {}
        person: dict[int, int] = {}
        for shot, (first, shown) in enumerate(scene.shots):
            length = len(shown[0].frames)
            start, end = first / FPS, (first + length) / FPS
            audio, audio_times = embed_sound(features, start, end, RANGE_S, self.encoder)
            for place, face in enumerate(shown):
                video = self._video(face)
                times = start + np.arange(len(video)) / FPS + WINDOW_S / 2
                curves = distances(video, audio, times, audio_times, RANGE_S)
                number = len(tracks)
                tracks.append(
                    TrackResult(
                        id=number, shot=shot, start_s=start, end_s=end, offset=None, curves=curves, face_px=60.0,
                        yaw_deg=0.0,
                    )
                )
                moved = np.array([PANEL * place, 0.0] * 2, np.float32)
                boxes[number] = face.cast.track.boxes[face.frames] + moved
                person[number] = face.person
        starts = tuple(first / FPS for first, _ in scene.shots)
        lasts = scene.frames / FPS
        result = SyncResult(
            file="scene", duration_s=lasts, offset=None, reasons=(), tracks=tuple(tracks), shots=starts, problems=(),
            model=self.encoder.model.identity,
        )
        portraits = {t.id: Portrait(t.start_s, (0.0, 0.0, 1.0, 1.0), 1.0) for t in tracks}
        width = round(PANEL * scene.faces)
        seen = Watched(result, boxes, portraits, features.mfcc[0], 0.0, lasts, width, 400)
        return Seen(scene, seen, person, truth(scene))

    def _video(self, face: Shown) -> NDArray[np.float32]:
        key = (face.cast.name, face.frames.tobytes())
        if key not in self._embedded:
            self._embedded[key] = self.encoder.embed_video(face.cast.track.crops[face.frames])
        return self._embedded[key]


def named(seen: Seen, window: int, settings: SpeakerModel | None = None, offset_ms: float | None = None) -> Named:
    """Whom the product names."""
    result = who_speaks(seen.watched, window=window, settings=settings, offset_ms=offset_ms)
    lines = np.zeros((seen.scene.faces, seen.scene.frames))
    for face in result.faces:
        first = round(face.start_s * FPS)
        lines[seen.person[face.id], first : first + len(face.probability)] = face.probability
    everybody = np.concatenate([lines, result.offscreen[None, : seen.scene.frames]])
    who = everybody.argmax(axis=0)
    who[who == seen.scene.faces] = OFFSCREEN
    who[everybody.max(axis=0) <= 0.0] = NOBODY
    return Named(who, lines.argmax(axis=0), *_rows(lines, seen.truth))


def _rows(lines: Floats, true: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    labels = true[None] == np.arange(len(lines))[:, None]
    return lines.reshape(-1), labels.reshape(-1)


class PeerWatcher:
    """LR-ASD on the same scenes; its scores, which no weights of ours change, are kept on disk."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._encoded: dict[tuple[str, bytes], Any] = {}

    def scores(self, scene: Scene) -> Floats:
        """Its score of every face at every frame, `(F, T)`."""
        heard = sound(scene)
        parts = [f"{first} {face.person} {face.cast.name} ".encode() + face.frames.tobytes()
                 for first, shown in scene.shots for face in shown]
        kept = KEPT / f"peer-{sha256(heard.tobytes() + b''.join(parts)).hexdigest()[:20]}.npy"
        if not kept.is_file():
            part = kept.with_suffix(".part.npy")
            np.save(part, self._scores(scene, heard))
            part.rename(kept)
        return np.asarray(np.load(kept), np.float64)

    def _scores(self, scene: Scene, heard: NDArray[np.float32]) -> Floats:
        self._peer = peer = self._peer or Peer()
        columns = mfcc(heard)
        columns = np.pad(columns, ((0, 0), (0, max(0, 4 * scene.frames - columns.shape[1]))), mode="edge")
        out = np.zeros((scene.faces, scene.frames))
        for first, shown in scene.shots:
            last = first + len(shown[0].frames)
            audio = peer.audio(columns[:, 4 * first : 4 * last])
            for face in shown:
                key = (face.cast.name, face.frames.tobytes())
                if key not in self._encoded:
                    self._encoded[key] = peer.video(face.cast.face[face.frames])
                out[face.person, first:last] = peer.scores(self._encoded[key], audio)
        return out


def peer_named(scores: Floats, true: NDArray[np.int64], window: int) -> Named:
    """Whom the peer names: the face of the highest score averaged over the window, nobody where none is above 0."""
    lines = np.stack([windowed_mean(line, window) for line in scores])
    best = lines.argmax(axis=0)
    who = np.where(lines.max(axis=0) > 0.0, best, OFFSCREEN)
    return Named(who, best, *_rows(lines, true))
