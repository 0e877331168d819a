"""Who speaks when in a file, as it was found: every face frame by frame, the turns, and whose faces they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.active_speaker import FPS
from syncnet.offset import in_words
from syncnet.people import Person
from syncnet.turns import Turn


@dataclass(frozen=True)
class FaceSpeech:
    """What one face track does, frame by frame at 25 a second from `start_s` on; T frames.

    `person`: the name of whose face it is. `boxes`: `(T, 4)` float32, x0, y0, x1, y1 in pixels. `score`: `(T,)`
    float32, how much nearer the lips are to the sound at the file's offset than usual, in units of the spread of
    distances (about 0 for lips that move to no sound or to another), averaged over the window; NaN without sound.
    `probability`: `(T,)` float32 that this face is the one who speaks, 0 where nobody does. `state`: `(T,)` int8,
    1 speaking, 0 silent, -1 unsure.
    `face_px`: median outer-eye-corner distance in pixels.
    """

    id: int
    shot: int
    person: str
    start_s: float
    boxes: NDArray[np.float32]
    score: NDArray[np.float32]
    probability: NDArray[np.float32]
    state: NDArray[np.int8]
    face_px: float

    @property
    def end_s(self) -> float:
        """Presentation time just after the last frame."""
        return self.start_s + len(self.state) / FPS

    @property
    def times(self) -> NDArray[np.float64]:
        """Presentation time of every frame in seconds, `(T,)`."""
        return self.start_s + np.arange(len(self.state)) / FPS


@dataclass(frozen=True)
class SpeakersResult:
    """Who speaks when in a file.

    `offset_ms`: audio minus video time that was used (`offset_from`: "given", "measured", or "assumed" where no face
    told). `turns`: in order of time; times are those of the picture. `faces`: every face track. `people`: whose faces
    they are. `voice`: stretches in which somebody speaks (seconds of the picture). `offscreen`: `(N,)` float32 at 25
    frames a second from `start_s` on, probability that somebody speaks whom no face fits. `reasons`: why there is no
    answer.
    """

    file: str
    start_s: float
    duration_s: float
    width: int
    height: int
    offset_ms: float
    offset_from: str
    window: int
    turns: tuple[Turn, ...]
    faces: tuple[FaceSpeech, ...]
    people: tuple[Person, ...]
    voice: tuple[tuple[float, float], ...]
    offscreen: NDArray[np.float32]
    shots: tuple[float, ...]
    reasons: tuple[str, ...]
    problems: tuple[str, ...]
    model: dict[str, str]

    @property
    def offset_in_words(self) -> str:
        """The offset as one would say it."""
        return in_words(self.offset_ms)
