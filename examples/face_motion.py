"""From phones to moving lips, and the small movements of a head: smooth curves that can be read at any time.

Each phone pulls the mouth towards its own shape with a strength that fades before and after it; the shape at a moment
is the mean of all those pulls (the dominance functions of Cohen & Massaro 1993), so that neighbouring sounds colour
one another while lips still meet for p, b and m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_drawing import Mouth, Pose
from face_speech import Phone

_FIELDS = ("jaw", "gap", "wide", "rounded", "press", "tuck", "tongue", "lift")
_JAW, _LIPS, _SHAPE = 0, 1, 2
_GROUP = np.array([_JAW, _LIPS, _SHAPE, _SHAPE, _LIPS, _LIPS, _LIPS, _LIPS])
_REACH = np.array([0.052, 0.031, 0.07])  # seconds over which a pull fades, per group
_LEAD, _SHUT_LEAD = 0.08, 0.02  # seconds by which lips precede the voice: open shapes, firm ones


@dataclass(frozen=True)
class Viseme:
    """A mouth shape and how strongly it is insisted on, for the jaw, the lips, and their width and rounding."""

    shape: Mouth
    strength: tuple[float, float, float] = (1.0, 1.0, 1.0)


def _vowel(jaw: float, gap: float, wide: float = 0.0, rounded: float = 0.0) -> Viseme:
    return Viseme(Mouth(jaw=jaw, gap=gap, wide=wide, rounded=rounded), (1.0, 1.0, 1.4 if rounded > 0.5 else 1.0))


_SILENCE = Viseme(Mouth(), (0.8, 0.9, 0.6))
_NEUTRAL = Viseme(Mouth(jaw=0.08, gap=0.08), (0.3, 0.3, 0.15))
_LABIAL = Viseme(Mouth(jaw=0.04, press=1.0), (0.9, 25.0, 0.3))
_LABIODENTAL = Viseme(Mouth(jaw=0.04, gap=0.03, tuck=1.0, lift=0.03, wide=0.15), (1.2, 6.0, 0.5))
_GLIDE = Viseme(Mouth(jaw=0.05, gap=0.04, rounded=1.0), (1.0, 3.0, 5.0))
_HUSH = Viseme(Mouth(jaw=0.03, gap=0.09, rounded=0.65, lift=0.02), (2.0, 2.0, 2.5))
_HISS = Viseme(Mouth(jaw=0.02, gap=0.065, wide=0.35, lift=0.015), (2.5, 2.0, 0.6))
_TIP = Viseme(Mouth(jaw=0.05, gap=0.07, tongue=0.8), (1.0, 0.9, 0.25))
_LATERAL = Viseme(Mouth(jaw=0.09, gap=0.095, tongue=0.9), (0.7, 0.8, 0.25))
_TEETH = Viseme(Mouth(jaw=0.06, gap=0.08, tongue=1.0, wide=0.1), (1.3, 1.5, 0.4))
_R = Viseme(Mouth(jaw=0.06, gap=0.07, rounded=0.45), (0.7, 0.7, 0.9))
_FRONT = Viseme(Mouth(jaw=0.05, gap=0.07, wide=0.6), (0.8, 0.8, 0.9))

VISEMES: dict[str, Viseme] = {
    "a": _vowel(0.25, 0.23, 0.15),
    "ɑ": _vowel(0.27, 0.24),
    "æ": _vowel(0.22, 0.21, 0.4),
    "ɐ": _vowel(0.15, 0.14, 0.05),
    "ʌ": _vowel(0.18, 0.16, 0.05),
    "e": _vowel(0.1, 0.11, 0.55),
    "ɛ": _vowel(0.16, 0.15, 0.4),
    "ɜ": _vowel(0.12, 0.12, 0.0, 0.1),
    "ə": _vowel(0.09, 0.09),
    "ɘ": _vowel(0.08, 0.08, 0.1),
    "ɵ": _vowel(0.08, 0.08, 0.0, 0.5),
    "ɚ": _vowel(0.09, 0.085, 0.0, 0.35),
    "ɝ": _vowel(0.09, 0.085, 0.0, 0.35),
    "i": _vowel(0.05, 0.075, 0.9),
    "ɪ": _vowel(0.07, 0.085, 0.55),
    "ᵻ": _vowel(0.07, 0.085, 0.4),
    "ɨ": _vowel(0.06, 0.075, 0.4),
    "o": _vowel(0.12, 0.1, 0.0, 0.85),
    "ɔ": _vowel(0.19, 0.17, 0.0, 0.6),
    "ɒ": _vowel(0.22, 0.2, 0.0, 0.4),
    "ɤ": _vowel(0.1, 0.1, 0.1),
    "u": _vowel(0.06, 0.05, 0.0, 1.0),
    "ʊ": _vowel(0.08, 0.07, 0.0, 0.75),
    "ʉ": _vowel(0.06, 0.05, 0.0, 1.0),
    "ɯ": _vowel(0.06, 0.06, 0.2),
    "y": _vowel(0.05, 0.05, 0.0, 1.0),
    "ʏ": _vowel(0.07, 0.065, 0.0, 0.85),
    "ø": _vowel(0.09, 0.09, 0.0, 0.85),
    "œ": _vowel(0.14, 0.13, 0.0, 0.65),
    **dict.fromkeys("pbmɓ", _LABIAL),
    **dict.fromkeys("fvɱʋ", _LABIODENTAL),
    **dict.fromkeys("wʍɥβɸ", _GLIDE),
    **dict.fromkeys("ʃʒɕʑʂʐ", _HUSH),
    **dict.fromkeys("sz", _HISS),
    **dict.fromkeys("tdnɾɗɖʈɳ", _TIP),
    **dict.fromkeys("lɫɭɬɮ", _LATERAL),
    **dict.fromkeys("θð", _TEETH),
    **dict.fromkeys("rɹɻɽʀʁ", _R),
    **dict.fromkeys("jʎɲçʝcɟ", _FRONT),
    **dict.fromkeys("kgɡŋxɣhɦχqɢʔħʕ", _NEUTRAL),
}


@dataclass(frozen=True)
class Manner:
    """How one person moves: how wide the mouth opens, how quickly it changes, how much the head sways."""

    opening: float = 1.0
    rounding: float = 1.0
    slowness: float = 1.0
    sway: float = 1.0
    turn: float = 0.0  # mean yaw, radians
    nod: float = 0.0  # mean pitch, radians
    rest_gap: float = 0.0


def make_manner(seed: int) -> Manner:
    """A way of moving by lot."""
    rng = np.random.default_rng([seed, 5])
    return Manner(
        opening=float(rng.uniform(0.75, 1.2)),
        rounding=float(rng.uniform(0.8, 1.15)),
        slowness=float(rng.uniform(0.85, 1.25)),
        sway=float(rng.uniform(0.4, 1.3)),
        turn=float(np.clip(rng.normal(0, 0.08), -0.2, 0.2)),
        nod=float(rng.normal(0, 0.03)),
        rest_gap=float(rng.choice([0.0, 0.0, 0.015])),
    )


def visemes_of(symbol: str) -> list[Viseme]:
    """The shapes one IPA symbol passes through: two for a diphthong or an affricate; unknown signs say nothing."""
    shapes = [VISEMES[letter] for letter in symbol if letter in VISEMES]
    return shapes or [_NEUTRAL if symbol else _SILENCE]


def mouths(phones: tuple[Phone, ...], times: NDArray[np.float64], manner: Manner, seed: int) -> list[Mouth]:
    """The mouth at each of the rising `times` (seconds on the phones' clock)."""
    if not phones:
        return [Mouth(gap=manner.rest_gap)] * len(times)
    rng = np.random.default_rng([seed, 6])
    effort = np.exp(0.12 * rng.standard_normal(len(phones)))
    weights = np.full((len(times), 3), 1e-9)
    sums = np.zeros((len(times), len(_FIELDS)))
    reach = _REACH * manner.slowness
    for phone, strength in zip(phones, effort, strict=True):
        for viseme, start, end in _spans(phone):
            first, last = np.searchsorted(times, [start - 0.6, end + 0.6])
            if first == last:
                continue
            away = np.maximum(np.maximum(start - times[first:last], times[first:last] - end), 0.0)
            pull = np.exp(-((away[:, None] / reach) ** 2)) * np.array(viseme.strength)
            target = np.array([getattr(viseme.shape, name) for name in _FIELDS])
            target[:2] *= manner.opening * strength
            target[3] *= manner.rounding
            if not phone.symbol:
                target[1] += manner.rest_gap
            weights[first:last] += pull
            sums[first:last] += pull[:, _GROUP] * target
    shapes = sums / weights[:, _GROUP]
    shapes[:, 1] = np.maximum(shapes[:, 1] - 0.008, 0.0)
    return [Mouth(*(float(v) for v in row)) for row in shapes]


def _spans(phone: Phone) -> list[tuple[Viseme, float, float]]:
    """The core of each shape of a phone: where the mouth holds it, a little ahead of the sound as in natural speech."""
    shapes = visemes_of(phone.symbol)
    length = phone.end - phone.start
    if not phone.symbol:
        margin = min(0.09, length * 0.4)
        return [(shapes[0], phone.start + 0.3 * margin, phone.end - margin - min(0.5 * _LEAD, 0.2 * length))]
    firm = shapes[0].strength[_LIPS] >= 3
    lead = _SHUT_LEAD if firm else _LEAD
    if phone.release < phone.end and len(shapes) == 1:
        return [(shapes[0], phone.start - lead, phone.release - lead)]
    part = length / len(shapes)
    hold = 0.36 if firm else 0.22
    earliest = phone.start + hold * part - _LEAD / 2  # a vowel does not open the lips that m still shuts
    centres = [max(phone.start + (i + 0.5) * part - lead, earliest) for i in range(len(shapes))]
    return [(shape, c - hold * part, c + hold * part) for shape, c in zip(shapes, centres, strict=True)]


def poses(times: NDArray[np.float64], manner: Manner, seed: int) -> list[Pose]:
    """The head at each of `times`: slow sway about a mean turn, and blinks."""
    rng = np.random.default_rng([seed, 7])
    sway = np.zeros((len(times), 6))
    for size, speed in ((1.0, 0.13), (0.7, 0.31), (0.4, 0.74), (0.15, 1.9)):
        phase, pace = rng.uniform(0, 2 * np.pi, 6), speed * rng.uniform(0.8, 1.25, 6)
        sway += size * np.sin(2 * np.pi * pace * times[:, None] + phase)
    x, y, zoom, roll, yaw, pitch = (manner.sway * sway * np.array([0.03, 0.018, 0.008, 0.012, 0.05, 0.035])).T
    lids = np.zeros(len(times))
    moment = -10.0
    while len(times) and moment < times[-1] + 1:
        moment += 0.5 + float(rng.gamma(2.0, 1.4))
        lids = np.maximum(lids, np.clip(1.35 - np.abs(times - moment) / 0.085, 0, 1))
    return [
        Pose(float(a), float(b), 1 + float(c), float(d), manner.turn + float(e), manner.nod + float(f), float(g))
        for a, b, c, d, e, f, g in zip(x, y, zoom, roll, yaw, pitch, lids, strict=True)
    ]
