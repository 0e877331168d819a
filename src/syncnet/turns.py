"""From probabilities at every frame to turns: somebody speaks from here to there (pure numpy)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.voice import bridged, runs

FPS = 25.0
OFFSCREEN = "off-screen"
"""Who speaks where no face in the picture fits the voice."""

_BRIDGE = 20  # frames (0.8 s) of pause within one turn
_SHORTEST = 8  # frames (0.32 s); shorter turns are blinks of the evidence, not turns

Person = tuple[str, int, NDArray[np.float32]]
"""Name, frame at which a track starts, and its probability of speaking frame by frame."""


@dataclass(frozen=True)
class Turn:
    """Somebody speaks from `start_s` to `end_s` (presentation time of the picture).

    `speaker`: a person's name or "off-screen". `confidence`: mean probability of that over the frames with voice.
    `sure`: whether that is enough to say so.
    """

    start_s: float
    end_s: float
    speaker: str
    confidence: float
    sure: bool


def film_turns(
    people: Sequence[Person], offscreen: NDArray[np.float64], voice: NDArray[np.bool_], start: float, sure: float
) -> tuple[Turn, ...]:
    """Turns of all people and of voices without a visible speaker, in order of time.

    people: name, first frame and `(T,)` probability of each track; offscreen, voice `(N,)`: probability that nobody in
    the picture speaks, and whether there is voice at all; start: seconds of frame 0. A pause of up to 0.8 s within the
    words of one speaker belongs to the turn, unless somebody else speaks in it; turns under 0.32 s are dropped.
    """
    frames = len(voice)
    chance: dict[str, NDArray[np.float64]] = {}
    for name, first, probability in people:
        line = chance.setdefault(name, np.zeros(frames))
        last = min(frames, first + len(probability))
        line[first:last] = np.fmax(line[first:last], probability[: max(0, last - first)])
    chance[OFFSCREEN] = np.asarray(offscreen, np.float64)
    names = list(chance)
    table = np.stack([chance[name] for name in names])
    leads = (table >= 0.5) | (np.arange(len(names))[:, None] == table.argmax(axis=0))
    active = leads & (table > 0.0) & voice
    turns = []
    for row, name in enumerate(names):
        others = active[np.arange(len(names)) != row].any(axis=0)
        joined = bridged(active[row], _BRIDGE) & ~(others & ~active[row])
        for a, b in runs(joined):
            if b - a >= _SHORTEST and active[row, a:b].any():  # else a pause, cut off by somebody else
                confidence = float(table[row, a:b][active[row, a:b]].mean())
                turns.append(Turn(start + a / FPS, start + b / FPS, name, confidence, confidence >= sure))
    return tuple(sorted(turns, key=lambda t: (t.start_s, t.end_s, t.speaker)))
