"""The embeddings themselves, for research: every window of every face track, and the sound beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.analysis import embed_sound, sound_features
from syncnet.encoder import EMBEDDING_MODEL, WINDOW_S, default_encoder
from syncnet.media import FPS, frames
from syncnet.tracks import mouth_tracks


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a stretch (up to a minute) of one face track.

    `video`: `(W, 256)` float32, one window of 0.2 s each 40 ms; `video_times`: `(W,)` their middles in seconds.
    `audio`: `(N, 256)` float32, one each 10 ms, from a second before the stretch to a second after it;
    `audio_times`: `(N,)`, moved by the model's zero, so that sound in sync stands at its picture's times. All lie on
    a sphere of radius 10; the Euclidean distance of a pair says how ill it fits.
    """

    track: int
    shot: int
    video: NDArray[np.float32]
    video_times: NDArray[np.float64]
    audio: NDArray[np.float32]
    audio_times: NDArray[np.float64]


def embed(
    path: str | PathLike[str], *, model: str | Path = EMBEDDING_MODEL, audio_track: int = 0, range_s: float = 1.0
) -> Iterator[Embeddings]:
    """Yield the embeddings of every face track of a file, stretch by stretch, as they are computed.

    By default those of the model whose windows see their own 0.2 s only. Raises `InputError` for what cannot be read or
    has no picture or no sound.
    """
    encoder = default_encoder(str(model))
    problems: list[str] = []
    sound = sound_features(path, audio_track, problems)
    for track in mouth_tracks(frames(path, on_problem=problems.append)):
        video = encoder.embed_video(track.crops)
        audio, audio_times = embed_sound(sound, track.start, track.end, range_s, encoder)
        video_times = track.start + np.arange(len(video)) / FPS + WINDOW_S / 2
        yield Embeddings(track.id, track.shot, video, video_times, audio, audio_times)
