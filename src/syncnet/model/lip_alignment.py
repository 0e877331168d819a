"""When each word of a known sentence is said: forced alignment of its speech sounds with the recording's sound.

Hidden Markov models of single sounds, one Gaussian a state, begun with sounds of equal length and made better by
aligning and measuring in turn (Viterbi training; Rabiner 1989, section V). Used to learn lip reading, never to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.media import FPS, SAMPLE_RATE
from syncnet.mfcc import mfcc
from syncnet.model.lip_features import Sentence
from syncnet.model.lip_sounds import PRONOUNCED, SOUNDS, sounds_of
from syncnet.model.shards import read_sound
from syncnet.sentences import GRID, words

COLUMNS_A_SECOND = 100
STATES = 3  # of a sound, in their order
ROUNDS = 8
_FLOOR = 0.05  # least variance of a state, in units of the whole recording's
_NOTHING = -1e30
_LOUD = 0.4  # smoothed energy, in deviations over a clip's mean, that is surely speech
_TOGETHER = 100  # sentences aligned at once


@dataclass(frozen=True)
class Alignment:
    """`sounds`: (N,) int64, the sound of every 10 ms from the first picture on, 0 for none. `words`: (7,) float64, the
    seconds at which the six words begin, and the last one ends."""

    sounds: NDArray[np.int64]
    words: NDArray[np.float64]

    def windows(self, count: int) -> NDArray[np.int64]:
        """The bounds of the words in numbers of picture windows (of five frames, named by their middle): (7,)."""
        at = np.rint(self.words * FPS - 2.5).astype(np.int64)
        return np.asarray(np.clip(at, 0, count))

    def window_sounds(self, count: int) -> NDArray[np.int64]:
        """The sound at the middle of each of `count` picture windows: (count,) int64."""
        at = np.rint((np.arange(count) + 2.5) / FPS * COLUMNS_A_SECOND).astype(int)
        return np.asarray(self.sounds[np.clip(at, 0, len(self.sounds) - 1)], np.int64)


def align(sentences: Sequence[Sentence]) -> list[Alignment]:
    """Align every sentence with its own sound; all of them together teach the models of the sounds."""
    return align_columns([_columns(s) for s in sentences], [s.numbers for s in sentences])


def align_columns(
    columns: Sequence[NDArray[np.float32]], numbers: Sequence[tuple[int, ...]], rounds: int = ROUNDS
) -> list[Alignment]:
    """Align features (N, F), one row every 10 ms, with the sounds of the sentences' words."""
    chains = [_chain(n) for n in numbers]
    paths = [_even(x, chain) for x, chain in zip(columns, chains, strict=True)]
    for _ in range(rounds):
        mean, variance = _measured(columns, chains, paths)
        paths = []
        for first in range(0, len(columns), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            pairs = zip(columns[part], chains[part], strict=True)
            paths += best_paths([_likelihood(x, mean, variance)[:, chain] for x, chain in pairs])
    return [_alignment(chain, path, n) for chain, path, n in zip(chains, paths, numbers, strict=True)]


def _columns(sentence: Sentence) -> NDArray[np.float32]:
    """MFCC and their slopes from the first picture to the last, (N, 26), of zero mean and unit deviation."""
    clip = sentence.clip
    first = round((clip.sound_lead_s + clip.offset_ms / 1000.0) * SAMPLE_RATE)
    samples, _, _ = read_sound(clip, first, round(clip.frames / FPS * SAMPLE_RATE))
    plain = mfcc(samples).T
    both = np.concatenate([plain, np.gradient(plain, axis=0)], axis=1)
    return np.asarray((both - both.mean(axis=0)) / (both.std(axis=0) + 1e-3), np.float32)


def _chain(numbers: tuple[int, ...]) -> NDArray[np.int64]:
    """The states a sentence goes through: silence, its sounds, silence, each with its states."""
    sounds = np.array([0, *sounds_of(numbers), 0])
    return (sounds[:, None] * STATES + np.arange(STATES)).reshape(-1)


def _even(x: NDArray[np.float32], chain: NDArray[np.int64]) -> NDArray[np.int64]:
    """A first guess: silence while it is quiet at either end, the sounds evenly between. (N,) places in the chain."""
    loud = np.flatnonzero(np.convolve(x[:, 0], np.full(10, 0.1), "same") > _LOUD)
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) > len(chain) else (0, len(x))
    inner = len(chain) - 2 * STATES
    parts = [
        np.linspace(0, STATES, first, endpoint=False),
        np.linspace(STATES, STATES + inner, last - first, endpoint=False),
        np.linspace(STATES + inner, len(chain), len(x) - last, endpoint=False),
    ]
    return np.concatenate(parts).astype(np.int64)


def _measured(
    columns: Sequence[NDArray[np.float32]], chains: Sequence[NDArray[np.int64]], paths: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of every state, (states, F) each; ten columns' worth of the whole's are mixed in."""
    rows = np.concatenate(columns).astype(np.float64)
    states = np.concatenate([chain[path] for chain, path in zip(chains, paths, strict=True)])
    mean, variance = np.empty((2, (len(SOUNDS) + 1) * STATES, rows.shape[1]))
    whole, squares = rows.mean(axis=0), (rows**2).mean(axis=0)
    for k in range(len(mean)):
        own = rows[states == k]
        mean[k] = (own.sum(axis=0) + 10.0 * whole) / (len(own) + 10.0)
        variance[k] = ((own**2).sum(axis=0) + 10.0 * squares) / (len(own) + 10.0) - mean[k] ** 2
    return mean, np.maximum(variance, _FLOOR)


def _likelihood(
    x: NDArray[np.float32], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-likelihood of every row under every state, (N, states)."""
    scale = 1.0 / variance
    squares = (x.astype(np.float64) ** 2) @ scale.T - 2.0 * x @ (mean * scale).T + (mean**2 * scale).sum(axis=1)
    return np.asarray(-0.5 * (squares + np.log(variance).sum(axis=1)))


def best_paths(likelihoods: Sequence[NDArray[np.float64]]) -> list[NDArray[np.int64]]:
    """For each (N, S) the best way from the first of S states to the last, a row each, staying or going one on: (N,).

    Where there are fewer rows than states the way is even.
    """
    rows, states = (max(x.shape[k] for x in likelihoods) for k in (0, 1))
    padded = np.full((rows, len(likelihoods), states), _NOTHING)
    for k, x in enumerate(likelihoods):
        padded[: len(x), k, : x.shape[1]] = x
    score = np.full((len(likelihoods), states), _NOTHING)
    score[:, 0] = padded[0, :, 0]
    moved = np.zeros(padded.shape, bool)
    for t in range(1, rows):
        before = np.pad(score[:, :-1], ((0, 0), (1, 0)), constant_values=_NOTHING)
        moved[t] = before > score
        score = np.maximum(np.maximum(before, score) + padded[t], _NOTHING)
    return [_traced(moved[: len(x), k, : x.shape[1]]) for k, x in enumerate(likelihoods)]


def _traced(moved: NDArray[np.bool_]) -> NDArray[np.int64]:
    count, states = moved.shape
    if count < states:
        return np.linspace(0, states, count, endpoint=False).astype(np.int64)
    path = np.empty(count, np.int64)
    path[-1] = states - 1
    for t in range(count - 1, 0, -1):
        path[t - 1] = path[t] - moved[t, path[t]]
    return path


def _alignment(chain: NDArray[np.int64], path: NDArray[np.int64], numbers: tuple[int, ...]) -> Alignment:
    lengths = np.cumsum([0, *(len(PRONOUNCED[word].split()) for word in words(numbers))])
    assert len(lengths) == len(GRID) + 1
    begins = np.searchsorted(path, STATES * (1 + lengths))
    return Alignment(chain[path] // STATES, begins / COLUMNS_A_SECOND)
