"""Who speaks when: every face against the one sound, frame by frame (pure numpy).

The evidence of a window of 0.2 s is how much nearer its lips are to the sound at the right offset than at other offsets
(the confidence of Chung & Zisserman 2016, read at a known offset instead of at the best one). Lips that move to another
sound have none. A hidden Markov model weighs the evidence of all faces of a shot within a window of time around each
frame: at any moment the voice belongs to one face, to two, or to nobody in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves
from syncnet.errors import InputError
from syncnet.speaker_model import SpeakerModel

Floats = NDArray[np.float64]

SPEAKING, SILENT, UNSURE = 1, 0, -1
"""What a face does at a moment."""

FPS = 25.0
WINDOWS = (10, 25, 50, 75, 100)
"""Lengths of the sliding window in frames that the paper tabulates."""


@dataclass(frozen=True)
class Decision:
    """What was decided for the frames of a shot, T of them, and its F faces.

    `speaking`: `(T, F)` float64, probability that the voice at a frame is this face's, NaN where the face is not there.
    `offscreen`: `(T,)` float64, probability that it is nobody's in the picture. Both mean little where nobody speaks.
    """

    speaking: Floats
    offscreen: Floats


@dataclass(frozen=True)
class Scale:
    """What distances are like in a film whatever the offset: their mean and their spread about a window's own mean."""

    level: float
    spread: float


def scale(parts: list[Curves]) -> Scale:
    """Measure the scale of the distances of a film from the curves of all its faces."""
    total = squares = 0.0
    count = 0
    for curves in parts:
        mean = window_level(curves)
        known = np.isfinite(curves.distance)
        total += float(curves.distance[known].sum())
        squares += float(np.square(curves.distance - mean[:, None])[known].sum())
        count += int(known.sum())
    return Scale(total / count, float(np.sqrt(squares / count)) or 1.0) if count else Scale(0.0, 1.0)


def window_level(curves: Curves) -> Floats:
    """Mean distance of each window over all offsets, `(W,)`; NaN where there is no sound."""
    known = np.isfinite(curves.distance)
    count = known.sum(axis=1)
    total = np.where(known, curves.distance, 0.0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def depths(curves: Curves, offset_s: float, unit: Scale, model: SpeakerModel | None = None) -> Floats:
    """How much nearer each window is to the sound at `offset_s` than usual, `(W,)`, in units of the film's spread.

    Usual is midway between the window's own mean distance and the film's: a window's own mean alone is too noisy a
    yardstick, the film's alone ignores that some mouths are always farther. NaN where there is no sound. Raises
    InputError when the offset lies outside the curves.
    """
    model = model or SpeakerModel()
    if len(curves.offsets_s) == 0 or not curves.offsets_s[0] <= offset_s <= curves.offsets_s[-1]:
        raise InputError(f"The offset {offset_s * 1000:.0f} ms lies outside the range of offsets that were measured.")
    near = curves.distance[:, np.abs(curves.offsets_s - offset_s) <= model.tolerance_s + 0.005]
    known = np.isfinite(near).any(axis=1)
    count = np.maximum(np.isfinite(near).sum(axis=1), 1)
    there = np.where(np.isfinite(near), near, 0.0).sum(axis=1, dtype=np.float64) / count
    usual = model.own * window_level(curves) + (1 - model.own) * unit.level
    return np.where(known, (usual - there) / unit.spread, np.nan)


def on_grid(times: Floats, values: Floats, start: float, frames: int) -> Floats:
    """Place windows' values on frames: `(frames,)`, frame k at `start + k / 25` s, NaN where no window is within 0.1 s.

    times `(W,)`: the middles of windows of 0.2 s; the middle frame of a window is the one shown at its middle.
    """
    placed = np.full(frames, np.nan)
    at = np.floor((times - start) * FPS + 1e-6).astype(int)
    order = [*range(-2, 3)]
    for shift in sorted(order, key=abs, reverse=True):  # a window's own frame is written last
        inside = (at + shift >= 0) & (at + shift < frames)
        placed[(at + shift)[inside]] = values[inside]
    return placed


def log_odds(depth: Floats, model: SpeakerModel) -> Floats:
    """Log odds that a frame's face is the speaker, from its depth; 0 where the depth is unknown."""
    odds = model.gain * (depth - model.middle)
    return np.clip(np.nan_to_num(odds, nan=0.0), -model.most, model.most)


def decide(
    odds: Floats, present: NDArray[np.bool_], voice: NDArray[np.bool_], window: int, model: SpeakerModel | None = None
) -> Decision:
    """Weigh the evidence of the faces of one shot: who speaks at each of T frames, judged by `window` frames around it.

    odds, present `(T, F)`: log odds of each face being the speaker by itself, and whether it is in the picture; voice
    `(T,)`: whether anybody speaks. Forward-backward algorithm (Rabiner 1989), started anew at every frame with
    `window // 2` frames on either side.
    """
    model = model or SpeakerModel()
    if window < 1:
        raise InputError(f"A window must be at least one frame long, not {window}.")
    frames, faces = odds.shape
    members, prior = _states(odds, present, voice, model)
    log_like = np.where(voice[:, None], np.where(present, odds, -np.inf), np.where(present, 0.0, -np.inf))
    score = np.zeros((frames, len(members)))
    for state, faces_of in enumerate(members):
        for face in faces_of:
            score[:, state] += log_like[:, face]
    like = np.exp(score - score.max(axis=1, keepdims=True, initial=-np.inf))
    change = np.where(voice, model.change_voice, model.change_pause)
    posterior = _smoothed(like, change, prior, max(0, window // 2))
    speaking = np.zeros((frames, faces))
    for state, faces_of in enumerate(members):
        for face in faces_of:
            speaking[:, face] += posterior[:, state]
    speaking[~present] = np.nan
    return Decision(speaking, posterior[:, 0])


def _states(
    odds: Floats, present: NDArray[np.bool_], voice: NDArray[np.bool_], model: SpeakerModel
) -> tuple[list[tuple[int, ...]], Floats]:
    """Sets of faces that may speak at once, the empty one first, and their prior shares."""
    faces = odds.shape[1]
    total = (np.maximum(odds, 0.0) * (present & voice[:, None])).sum(axis=0)
    likely = sorted(np.argsort(-total, kind="stable")[: model.most_together].tolist())
    pairs = list(combinations(likely, 2))
    members: list[tuple[int, ...]] = [(), *((face,) for face in range(faces)), *pairs]
    prior = np.array(
        [model.offscreen]
        + [(1 - model.offscreen - model.together) / max(faces, 1)] * faces
        + [model.together / max(len(pairs), 1)] * len(pairs)
    )
    return members, prior / prior.sum()


def _smoothed(like: Floats, change: Floats, prior: Floats, reach: int) -> Floats:
    """Posterior of every frame's state from the frames within `reach` of it, `(T, S)`."""
    forward = _message(like, change, prior, reach)
    # Backward: what follows, as seen from the frame; the same recursion on the reversed film with a flat start.
    backward = _message_back(like, change, prior, reach)
    posterior = forward * backward
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))


def _message(like: Floats, change: Floats, prior: Floats, reach: int) -> Floats:
    """Filtered state of each frame given the `reach` frames before it and itself, `(T, S)`."""
    frames = len(like)
    state = np.tile(prior, (frames, 1))
    for back in range(reach, -1, -1):  # all frames at once: each steps through its own past
        moved = state if back == reach else _step(state, _shifted(change, back, 1.0), prior)
        state = moved * _shifted(like, back, 1.0)
        state /= state.sum(axis=1, keepdims=True)
    return state


def _message_back(like: Floats, change: Floats, prior: Floats, reach: int) -> Floats:
    """Likelihood of the `reach` frames after each frame, by its state, `(T, S)`, up to a factor."""
    frames, states = like.shape
    ahead = np.ones((frames, states))
    for forth in range(reach, 0, -1):
        weighted = ahead * _shifted(like, -forth, 1.0)
        p = _shifted(change, -forth, 1.0)[:, None]
        ahead = (1 - p) * weighted + p * (weighted @ prior)[:, None]
        ahead /= ahead.sum(axis=1, keepdims=True)
    return ahead


def _step(state: Floats, change: Floats, prior: Floats) -> Floats:
    """One transition: stay, or with the chance of a change go anywhere by the prior."""
    return np.asarray((1 - change[:, None]) * state + change[:, None] * prior)


def _shifted(values: Floats, by: int, fill: float) -> Floats:
    """Row k is row k - by of `values`, `fill` outside."""
    out = np.full_like(values, fill)
    if by == 0:
        return values
    if abs(by) >= len(values):
        return out
    if by > 0:
        out[by:] = values[:-by]
    else:
        out[:by] = values[-by:]
    return out


def states(speaking: Floats, voice: NDArray[np.bool_], sure: float) -> NDArray[np.int8]:
    """What a face does at each frame, `(T,)` int8 of SPEAKING, SILENT, UNSURE: silent where nobody speaks."""
    out = np.full(len(speaking), UNSURE, np.int8)
    out[speaking >= sure] = SPEAKING
    out[(speaking <= 1 - sure) | ~voice] = SILENT
    return out


def windowed_mean(values: Floats, window: int) -> Floats:
    """Mean of the known values among the `window` around each, `(T,)`; NaN where none is known."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    index = np.arange(len(values))
    low = np.maximum(index - (window - 1) // 2, 0)
    high = np.minimum(index + window // 2 + 1, len(values))
    number = counts[high] - counts[low]
    return np.where(number > 0, (sums[high] - sums[low]) / np.maximum(number, 1), np.nan)
