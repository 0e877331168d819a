"""What the tests of the speaker finder share: curves of lips that follow a sound at will, and a finished result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves
from syncnet.people import Person, Portrait
from syncnet.results import SyncResult, TrackResult
from syncnet.speaker_analysis import Watched
from syncnet.speaker_results import FaceSpeech, SpeakersResult
from syncnet.turns import OFFSCREEN, Turn

FPS = 25.0
OFFSETS = np.arange(-100, 101) / 100.0
LEFT = (20.0, 40.0, 100.0, 140.0)
RIGHT = (220.0, 40.0, 300.0, 140.0)
LOUD, QUIET = 18.0, 6.0
"""Log energy of voice and of silence."""

Flags = NDArray[np.bool_]


def curves(speaks: Flags, seed: int, *, start: float = 0.0, offset_s: float = 0.0, depth: float = 2.0) -> Curves:
    """Curves of a track of T frames that follows the sound, `offset_s` late, where `speaks` (T,) says so."""
    rng = np.random.default_rng(seed)
    windows = len(speaks) - 4
    distance = 14.0 + rng.standard_normal((windows, len(OFFSETS)))
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(5) / np.sqrt(5), "same"), 1, distance - 14.0)
    near = np.exp(-0.5 * ((OFFSETS - offset_s) / 0.06) ** 2)
    level = 14.0 + smooth - depth * speaks[2:-2, None] * near
    times = start + np.arange(windows) / FPS + 0.1
    return Curves(times, OFFSETS, level.astype(np.float32))


def watched(
    speaks: Sequence[Flags],
    voice: Flags,
    *,
    starts: Sequence[float] | None = None,
    shots: Sequence[int] | None = None,
    offset_s: float = 0.0,
    depth: float = 2.0,
) -> Watched:
    """A film as it looks after one pass: faces that follow the sound where they speak, and voice `(N,)` by frames."""
    starts = starts or [0.0] * len(speaks)
    shots = shots or [0] * len(speaks)
    tracks = [
        TrackResult(
            id=n, shot=shot, start_s=start, end_s=start + len(own) / FPS, offset=None,
            curves=curves(own, n, start=start, offset_s=offset_s, depth=depth), face_px=50.0, yaw_deg=0.0,
        )
        for n, (own, start, shot) in enumerate(zip(speaks, starts, shots, strict=True))
    ]
    cuts = tuple(min(s for s, k in zip(starts, shots, strict=True) if k == shot) for shot in sorted(set(shots)))
    result = SyncResult(
        file="panel.mp4", duration_s=len(voice) / FPS, offset=None, reasons=(), tracks=tuple(tracks),
        shots=cuts or (0.0,), problems=(), model={"name": "made"},
    )
    places = [(200.0 * n + 20, 40.0, 200.0 * n + 100, 140.0) for n in range(len(speaks))]
    closed = np.arange(4 * len(voice)) % 50 >= 38  # lips and tongue close now and then, as in speech
    energy = np.where(np.repeat(voice, 4) & ~closed, LOUD, QUIET).astype(np.float32)
    shift = round(100 * offset_s)
    return Watched(
        result=result,
        boxes={n: np.tile(np.array(places[n], np.float32), (len(own), 1)) for n, own in enumerate(speaks)},
        portraits={n: Portrait(starts[n], places[n], 50.0) for n in range(len(speaks))},
        log_energy=np.roll(energy, shift),
        sound_start=0.0,
        picture_end=len(voice) / FPS,
        width=640,
        height=360,
    )


def flags(frames: int, *stretches: tuple[float, float]) -> Flags:
    """True in the given stretches of seconds."""
    out = np.zeros(frames, bool)
    for a, b in stretches:
        out[round(a * FPS) : round(b * FPS)] = True
    return out


def finished(file: str = "panel.mp4", seconds: float = 4.0, start: float = 0.0) -> SpeakersResult:
    """A result as if A, on the left, spoke for the first half and B, on the right, for the rest but the last second."""
    frames, half, end = round(seconds * FPS), seconds / 2, seconds - 1.0
    faces = []
    for n, (name, box, a, b) in enumerate((("A", LEFT, 0.0, half), ("B", RIGHT, half, end))):
        spoken = flags(frames, (a, b))
        faces.append(
            FaceSpeech(
                id=n, shot=0, person=name, start_s=start, boxes=np.tile(np.array(box, np.float32), (frames, 1)),
                score=np.where(spoken, 2.0, 0.1).astype(np.float32),
                probability=np.where(spoken, 0.9, 0.1).astype(np.float32),
                state=spoken.astype(np.int8), face_px=50.0,
            )
        )
    turns = (
        Turn(start, start + half, "A", 0.9, True),
        Turn(start + half, start + end, "B", 0.6, False),
        Turn(start + end, start + seconds, OFFSCREEN, 0.8, True),
    )
    people = tuple(
        Person(f.person, (f.id,), Portrait(start + 0.4, tuple(float(v) for v in f.boxes[0]), 50.0))  # type: ignore[arg-type]
        for f in faces
    )
    return SpeakersResult(
        file=file, start_s=start, duration_s=seconds, width=320, height=180, offset_ms=0.0, offset_from="measured",
        window=50, turns=turns, faces=tuple(faces), people=people, voice=((start, start + seconds),),
        offscreen=flags(frames, (end, seconds)).astype(np.float32), shots=(start,), reasons=(), problems=(),
        model={"name": "made"},
    )


def renamed(result: SpeakersResult, file: str) -> SpeakersResult:
    """The same result for another file."""
    return replace(result, file=file)
