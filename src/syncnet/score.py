"""The arithmetic of LSE-D and LSE-C: two series of embeddings in, one score out (pure numpy).

It is that of `SyncNetInstance.evaluate` in the released v2 code (J. S. Chung, 2020), which everybody who prints LSE
figures has run (Prajwal et al., "A lip sync expert is all you need", 2020, section 5), and a corrected variant that
leaves the comparisons with nothing out. Which pictures and which sound become embeddings is the recipe's business.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from syncnet.errors import NoAnswer

Floating = TypeVar("Floating", np.float32, np.float64)

FPS = 25  # frames per second that the arithmetic assumes
SHIFT = 15  # frames of search to either side: 31 candidates, +-0.6 s
WINDOW_FRAMES = 5  # frames under one video embedding
WINDOW_COLUMNS = 20  # columns of coefficients under one audio embedding
COLUMNS_PER_FRAME = 4
SAMPLES_PER_FRAME = 640  # at 16 kHz
EPS = np.float32(1e-6)  # added to every difference, as torch's pairwise_distance does
SMOOTHING = 9  # frames of the median filter over the confidence of single frames
MIN_PAIRS = 5  # corrected variant: a candidate shift needs at least this many real pairs


class Pairs(StrEnum):
    """Which comparisons the mean over a clip takes in."""

    PADDED = "padded"
    """As released: past either end of the sound the partner is a vector of zeros, and it counts."""

    VALID = "valid"
    """Corrected: only windows of the picture that have a partner in the sound."""


@dataclass(frozen=True)
class SyncScore:
    """What a clip (or one face of it) scores.

    `distance`: smallest mean distance over the candidate shifts (LSE-D with the v2 network). `confidence`: median minus
    smallest (LSE-C). `reference_offset`: frames, in the sign of the released code, positive = audio leads.
    `curve`: (31,) float32, mean distance per shift of the sound from -15 to +15 frames, NaN where too few pairs exist.
    `frame_confidence`: (windows,) float32, median of the curve minus each window's own distance at the best shift,
    median-filtered over 9 windows with zeros past the ends.
    """

    distance: float
    confidence: float
    reference_offset: int
    curve: NDArray[np.float32]
    frame_confidence: NDArray[np.float32]

    @property
    def windows(self) -> int:
        """How many windows of the picture took part."""
        return len(self.frame_confidence)

    @property
    def offset_ms(self) -> float:
        """The same offset as audio time minus video time in milliseconds: negative = audio early (leads)."""
        return -1000.0 * self.reference_offset / FPS


def window_count(frames: int, samples: int) -> int:
    """How many windows the released code scores: the shorter of picture and sound in frames, less five.

    One fewer than would fit: n frames hold n - 4 windows. `samples` at 16 kHz. Never below 0.
    """
    return max(0, min(frames, samples // SAMPLES_PER_FRAME) - WINDOW_FRAMES)


def full_window_count(frames: int, columns: int) -> int:
    """How many windows fit into so many frames and columns of coefficients, four columns per frame; never below 0."""
    return max(0, min(frames - WINDOW_FRAMES, (columns - WINDOW_COLUMNS) // COLUMNS_PER_FRAME) + 1)


def shifted_distances(
    video: NDArray[np.float32], audio: NDArray[np.float32], shift: int = SHIFT
) -> NDArray[np.float32]:
    """Distance of every video window i to the audio windows i - shift ... i + shift.

    video, audio: (T, D) float32, row i 40 i ms after the start. Returns (T, 2 shift + 1) float32; where the partner
    lies outside the sound it is a zero vector, so the distance is the length of the video vector.
    """
    if video.shape != audio.shape or video.ndim != 2:
        raise ValueError(f"video and audio must be two (T, D) arrays alike, not {video.shape} and {audio.shape}")
    count = len(video)
    padded = np.pad(audio, ((shift, shift), (0, 0)))
    distances = np.empty((count, 2 * shift + 1), dtype=np.float32)
    for s in range(2 * shift + 1):
        difference = video - padded[s : s + count] + EPS
        distances[:, s] = np.sqrt(np.square(difference).sum(axis=1))
    return distances


def mean_curve(distances: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """Mean distance per candidate shift: (T, 2s + 1) -> (2s + 1,) float32.

    `Pairs.PADDED` takes every row; `Pairs.VALID` those whose partner exists, NaN where fewer than `MIN_PAIRS` do.
    """
    if pairs is Pairs.PADDED:
        return np.asarray(distances.mean(axis=0, dtype=np.float64), np.float32)
    count, width = distances.shape
    shifts = np.arange(width) - width // 2
    partner = np.arange(count)[:, None] + shifts[None, :]
    valid = (partner >= 0) & (partner < count)
    total = np.where(valid, distances, 0.0).sum(axis=0, dtype=np.float64)
    number = valid.sum(axis=0)
    mean = total / np.maximum(number, 1)
    return np.asarray(np.where(number >= MIN_PAIRS, mean, np.nan), np.float32)


def lower_median(values: NDArray[np.float32]) -> float:
    """The middle element, and of two middle ones the lower, as torch.median takes it; NaN are left out."""
    ordered = np.sort(values[~np.isnan(values)])
    return float(ordered[(len(ordered) - 1) // 2])


def median_filter(values: NDArray[Floating], size: int) -> NDArray[Floating]:
    """Running median over an odd `size` with zeros past both ends, as scipy.signal.medfilt; same length."""
    padded = np.pad(values, size // 2)
    return np.asarray(np.median(sliding_window_view(padded, size), axis=1), values.dtype)


def score(
    video: NDArray[np.float32],
    audio: NDArray[np.float32],
    *,
    pairs: Pairs = Pairs.PADDED,
    shift: int = SHIFT,
) -> SyncScore:
    """Score a clip from its embeddings, one video and one audio window per frame.

    video, audio: (T, D) float32. Raises NoAnswer where there are too few windows to score.
    """
    if len(video) == 0:
        raise NoAnswer(
            f"The clip is too short to score: picture and sound together must last at least {WINDOW_FRAMES + 1} frames "
            f"({(WINDOW_FRAMES + 1) / FPS:.2f} s)."
        )
    distances = shifted_distances(video, audio, shift)
    curve = mean_curve(distances, pairs)
    if np.isnan(curve).all():
        raise NoAnswer(f"The clip is too short to score: it holds {len(video)} windows, {MIN_PAIRS} are needed.")
    best = int(np.nanargmin(curve))
    middle = lower_median(curve)
    return SyncScore(
        distance=float(curve[best]),
        confidence=float(np.float32(middle) - curve[best]),
        reference_offset=shift - best,
        curve=curve,
        frame_confidence=median_filter(np.float32(middle) - distances[:, best], SMOOTHING),
    )
