"""Faces and sound compared: what there is to say without an answer, and that nothing large is kept."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from syncnet.analysis import compare
from syncnet.encoder import WINDOW_S, Encoder
from syncnet.media import FPS
from syncnet.sound_features import SoundFeatures
from syncnet.tracks import MouthTrack

Array = NDArray[np.float32]
SECONDS = 8.0


def walk(times: NDArray[np.float64], seed: int = 0) -> Array:
    """Embeddings (n, 256) on the sphere of radius 10 that wander with time, the same for the same times."""
    rng = np.random.default_rng(seed)
    hz, phase = rng.uniform(-5, 5, 64), rng.uniform(0, 2 * np.pi, 64)
    path = np.cos(2 * np.pi * np.outer(times, hz) + phase) @ rng.normal(size=(64, 256))
    return np.asarray(10 * path / np.linalg.norm(path, axis=1, keepdims=True), np.float32)


@dataclass
class Known(Encoder):
    """An encoder that is told what it sees: crops and coefficients carry their time in their first number."""

    late_s: float = 0.0
    related: bool = True
    zero: float = 0.0

    @property
    def frames_seen(self) -> int:
        return 5

    @property
    def zero_s(self) -> float:
        return self.zero

    def embed_video(self, crops: NDArray[np.uint8]) -> Array:
        first = float(crops[0, 0, 0]) / FPS
        return walk(first + np.arange(len(crops) - 4) / FPS + WINDOW_S / 2)

    def embed_audio(self, mfcc: Array) -> Array:
        times = mfcc[1, : mfcc.shape[1] - 19].astype(np.float64) + WINDOW_S / 2 - self.late_s
        return walk(times, seed=0 if self.related else 1)


def sound(seconds: float = SECONDS, loudest: float = 0.3, swing: float = 4.0) -> SoundFeatures:
    """Sound whose energy swells three times a second by `swing` nepers; row 1 is the time."""
    times = np.arange(round(seconds * 100)) / 100
    mfcc = np.zeros((13, len(times)), np.float32)
    mfcc[0], mfcc[1] = 15 + swing * np.sin(2 * np.pi * 3 * times), times
    return SoundFeatures(0.0, mfcc, loudest)


def mouth(start: float = 0.0, seconds: float = SECONDS, opens: float = 0.05, number: int = 0) -> MouthTrack:
    """A mouth that opens three times a second; its crops carry their frame's number."""
    frames = round(seconds * FPS)
    crops = np.zeros((frames, 8, 8), np.uint8)
    crops[:, 0, 0] = round(start * FPS) + np.arange(frames)
    gap = 0.1 + opens * np.sin(2 * np.pi * 3 * np.arange(frames) / FPS)
    whole = np.ones(frames, np.float32)
    boxes = np.zeros((frames, 4), np.float32)
    return MouthTrack(number, 0, start, crops, boxes, 80 * whole, whole, gap.astype(np.float32), whole > 0)


@pytest.mark.parametrize("late_s", [-0.4, 0.0, 0.13])
def test_a_known_offset_comes_out_for_the_file_and_the_track(late_s: float) -> None:
    found = compare([mouth()], sound(), Known(late_s))
    assert found.offset is not None and found.offset.offset_ms == pytest.approx(1000 * late_s, abs=5)
    assert found.reasons == () and found.offset.trusted
    (track,) = found.tracks
    assert track.offset_ms == pytest.approx(1000 * late_s, abs=5) and track.reasons == ()


def test_the_zero_of_the_model_is_taken_off_the_answer() -> None:
    found = compare([mouth()], sound(), Known(0.1, zero=-0.015))
    assert found.offset is not None and found.offset.offset_ms == pytest.approx(115.0, abs=1.0)


def test_stretches_of_a_track_are_joined_and_tracks_come_in_order_of_time() -> None:
    parts = [mouth(0.0, 3.0), mouth(1.0, 2.0, number=1), mouth(3.0, 3.0)]
    found = compare(parts, sound(), Known(0.1))
    assert [(t.id, t.start_s, t.end_s) for t in found.tracks] == [(0, 0.0, 6.0), (1, 1.0, 3.0)]
    assert found.curves is not None and len(found.curves.times) == sum(len(t.curves.times) for t in found.tracks)


@pytest.mark.parametrize(
    ("seen", "heard", "encoder", "says"),
    [
        ([], sound(), Known(), "no face was found"),
        ([mouth()], sound(loudest=1e-5), Known(), "the sound is silent"),
        ([mouth()], sound(swing=0.2), Known(), "no speech is heard"),
        ([mouth(opens=0.001)], sound(), Known(), "the mouth does not move"),
        ([mouth()], sound(), Known(related=False), "better than by chance"),
        ([mouth(seconds=0.32)], sound(), Known(), "too short"),
        ([mouth(start=6.0, seconds=2.0)], sound(seconds=3.0), Known(), "no speech is heard"),
    ],
)
def test_without_an_answer_there_is_one_reason(
    seen: list[MouthTrack], heard: SoundFeatures, encoder: Known, says: str
) -> None:
    found = compare(seen, heard, encoder)
    assert found.offset is None
    (reason,) = found.reasons
    assert says in reason
    assert all(track.offset is None and track.reasons for track in found.tracks)


def test_one_who_speaks_beside_one_who_listens_is_measured() -> None:
    found = compare([mouth(opens=0.001, number=0), mouth(number=1)], sound(), Known(0.2))
    assert found.offset is not None
    listener, speaker = found.tracks
    assert listener.offset is None and "does not move" in listener.reasons[0]
    assert speaker.offset_ms == pytest.approx(200, abs=5)


def test_crops_are_let_go_as_soon_as_they_are_embedded() -> None:
    """An hour of one face must not be kept: neither the crops nor a view of them."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    most = 0

    def stretches() -> Iterator[MouthTrack]:
        nonlocal most
        for k in range(6):
            track = mouth(float(k), 1.0)
            track = replace(track, crops=np.array(track.crops))
            alive.append(weakref.ref(track.crops))
            yield track
            del track
            most = max(most, sum(ref() is not None for ref in alive))

    compare(stretches(), sound(), Known())
    assert most <= 1
    assert sum(ref() is not None for ref in alive) == 0


def test_no_answer_for_an_outer_reason_holds_for_every_track() -> None:
    found = compare([mouth()], sound(), Known()).without_answer("too few pictures")
    assert found.offset is None and found.reasons == ("too few pictures",)
    assert [t.reasons for t in found.tracks] == [("too few pictures",)] and found.curves is not None
