"""Made scenes of several people, with known truth: who is shown when, who is heard when, and whose voice it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scene_clips import FRAMES, Cast

from syncnet.media import FPS, SAMPLE_RATE
from syncnet.mfcc import mfcc
from syncnet.voice import voice_activity

OFFSCREEN, NOBODY = -1, -2
"""Truth at a moment: a voice that is nobody's in the picture, and no voice."""

KINDS = (
    "one voice",
    "in turn",
    "in turn, changing places",
    "in turn, listeners at rest",
    "in turn with off-screen",
    "same words, one delayed",
    "another sound",
)

_LOUDNESS = 0.05  # root mean square of every voice
_HISS = 0.0005  # and of the room
_FADE_S = 0.01
_PAUSE_S = 0.2  # between turns
_REST_FRAMES = 12  # a listener's lips go to and fro over the stillest half second

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """A person in a shot: who (a number that is the same in all shots), whose clip, and which frame of it at each."""

    person: int
    cast: Cast
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class Voice:
    """A voice heard from frame `first` to `last` of the scene, that of `cast` from its frame `begin` on."""

    first: int
    last: int
    cast: Cast
    begin: int
    person: int


@dataclass(frozen=True)
class Scene:
    """A scene: its kind, how many faces, shots (first frame and who is in it), voices, and length in frames."""

    kind: str
    faces: int
    shots: tuple[tuple[int, tuple[Shown, ...]], ...]
    voices: tuple[Voice, ...]
    frames: int


def made_scenes(people: Sequence[Cast], seed: int, copies: int = 1) -> Iterator[Scene]:
    """All kinds of scenes with people by lot; the same people and seed give the same scenes.

    `copies`: how often the whole list is made. Everybody's lips move to his own words all the time, heard or not,
    except where listeners are said to be at rest.
    """
    rng = np.random.default_rng(seed)
    for _ in range(copies):
        for faces, count in ((2, 5), (3, 4), (4, 4)):
            for kind in KINDS[:3]:
                for _ in range(count):
                    yield _talk(kind, rng, _lot(rng, people, faces), [*range(faces)])
        for _ in range(5):
            yield _talk(KINDS[3], rng, _lot(rng, people, 2), [0, 1])
        for faces in (2, 2, 2, 2, 3, 3, 4, 4):
            drawn = _lot(rng, people, faces + 1)
            yield _talk(KINDS[4], rng, drawn, [0, OFFSCREEN, int(rng.integers(1, faces))])
        for number in range(6):
            yield _same_words(rng, _lot(rng, people, 1)[0], number % 2)
        for faces in (1, 1, 1, 2, 2, 2):
            yield _another_sound(_lot(rng, people, faces + 1))


def _lot(rng: np.random.Generator, people: Sequence[Cast], count: int) -> list[Cast]:
    return [people[int(k)] for k in rng.permutation(len(people))[:count]]


def _talk(kind: str, rng: np.random.Generator, drawn: list[Cast], speakers: list[int]) -> Scene:
    """People side by side, of whom one speaks all the time, or each in turn; perhaps somebody unseen too."""
    shown = drawn[:-1] if OFFSCREEN in speakers else drawn
    order = [int(s) for s in rng.permutation(speakers)]
    if kind == KINDS[0]:
        order = order[:1]
    voices = []
    edges = _turn_edges(rng, len(order)) if len(order) > 1 else [0, FRAMES]
    pause = round(_PAUSE_S * FPS)
    for number, (first, last) in enumerate(pairwise(edges)):
        person = order[number % len(order)]
        voices.append(Voice(first, last if last == FRAMES else last - pause, drawn[person], first, person))
    rest = kind == KINDS[3]
    cuts = [0, FRAMES // 2] if kind == KINDS[2] else [0]
    shots = []
    for first, last in zip(cuts, [*cuts[1:], FRAMES], strict=True):
        places = rng.permutation(len(shown)) if len(cuts) > 1 else np.arange(len(shown))
        frames = [_lips(shown[p], p, voices, at_rest=rest)[first:last] for p in places.tolist()]
        shots.append((first, tuple(Shown(p, shown[p], f) for p, f in zip(places.tolist(), frames, strict=True))))
    return Scene(kind, len(shown), tuple(shots), tuple(voices), FRAMES)


def _turn_edges(rng: np.random.Generator, speakers: int) -> list[int]:
    """Frames at which turns begin: as many as there are speakers, at most three, none shorter than 2.2 s."""
    turns = min(speakers, 3)
    spare = FRAMES - turns * round(2.4 * FPS)
    shares = rng.dirichlet(np.ones(turns)) * spare
    lengths = np.floor(shares).astype(int) + round(2.4 * FPS)
    return [0, *np.cumsum(lengths)[:-1].tolist(), FRAMES]


def _lips(person: Cast, number: int, voices: list[Voice], *, at_rest: bool) -> NDArray[np.int64]:
    """Which frame of a clip is shown at each frame of a scene."""
    natural = np.arange(FRAMES)
    if not at_rest:
        return natural
    speaks = np.zeros(FRAMES, bool)
    for voice in voices:
        if voice.person == number:
            speaks[voice.first : voice.last] = True
    motion = np.abs(np.diff(person.track.crops.astype(np.int16), axis=0)).mean(axis=(1, 2))
    still = int(np.convolve(motion, np.ones(_REST_FRAMES - 1), "valid").argmin())
    swing = np.concatenate([np.arange(_REST_FRAMES), np.arange(_REST_FRAMES - 2, 0, -1)])
    return np.where(speaks, natural, still + swing[natural % len(swing)])


def _same_words(rng: np.random.Generator, person: Cast, true_face: int) -> Scene:
    """One person twice, one of them delayed by 0.4 to 1 s; the voice goes with the other."""
    delay = int(rng.integers(round(0.4 * FPS), round(1.0 * FPS) + 1))
    lead = round(FPS)
    natural = np.arange(lead, FRAMES)
    shown = tuple(Shown(k, person, natural - (0 if k == true_face else delay)) for k in (0, 1))
    voice = Voice(0, FRAMES - lead, person, lead, true_face)
    return Scene(KINDS[5], 2, ((0, shown),), (voice,), FRAMES - lead)


def _another_sound(drawn: list[Cast]) -> Scene:
    """Faces that all move their lips to something else than what is heard, as in a dubbed film."""
    shown = tuple(Shown(k, person, np.arange(FRAMES)) for k, person in enumerate(drawn[:-1]))
    return Scene(KINDS[6], len(shown), ((0, shown),), (Voice(0, FRAMES, drawn[-1], 0, OFFSCREEN),), FRAMES)


def sound(scene: Scene) -> Samples:
    """What is heard: `(N,)` float32 at 16 kHz from the time of the first picture on."""
    per_frame = round(SAMPLE_RATE / FPS)
    rng = np.random.default_rng(scene.frames)
    out = (_HISS * rng.standard_normal(scene.frames * per_frame)).astype(np.float32)
    for voice in scene.voices:
        out[voice.first * per_frame : voice.last * per_frame] += _heard(voice)
    return np.clip(out, -1.0, 1.0)


def _heard(voice: Voice) -> Samples:
    per_frame = round(SAMPLE_RATE / FPS)
    whole = voice.cast.sound
    level = float(np.sqrt(np.mean(np.square(whole)))) + 1e-6
    count = (voice.last - voice.first) * per_frame
    part = whole[voice.begin * per_frame :][:count] * (_LOUDNESS / level)
    fade = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (_FADE_S * SAMPLE_RATE))
    return np.asarray(part * fade, np.float32)


def truth(scene: Scene) -> NDArray[np.int64]:
    """Whose voice is heard at each frame, `(T,)`: a person's number, `OFFSCREEN`, or `NOBODY` where it pauses.

    Pauses are those of each voice by itself, before anything is mixed.
    """
    out = np.full(scene.frames, NOBODY)
    for voice in scene.voices:
        active = voice_frames(voice.cast)[voice.begin :][: voice.last - voice.first]
        part = out[voice.first : voice.last]
        part[active] = voice.person
    return out


def voice_frames(person: Cast) -> NDArray[np.bool_]:
    """In which frames of a clip its own sound has voice, `(200,)`: for at least half of 40 ms."""
    heard = voice_activity(mfcc(person.sound)[0])
    heard = np.pad(heard, (0, max(0, 4 * FRAMES - len(heard))))[: 4 * FRAMES]
    return np.asarray(heard.reshape(FRAMES, 4).mean(axis=1) >= 0.5)
