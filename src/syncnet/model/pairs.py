"""What the network is shown: snippets of clips with their sound, drawn evenly over people, changed at random.

Every batch is a pure function of (seed, step), so that a run can be resumed, repeated and fed by any number of
worker processes without anything to remember.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from syncnet.model import augment
from syncnet.model.augment import AugmentConfig, Rng
from syncnet.model.held_out import is_held_out
from syncnet.model.network import STANDARD_EPS, SyncNetConfig
from syncnet.model.shards import FPS, SAMPLE_RATE, Clip, read_crops, read_sound

HOP_S = 0.01  # seconds between MFCC columns
HOP = int(SAMPLE_RATE * HOP_S)
COLUMN_SAMPLES = 400
PICTURE_EPS = 1.0  # grey level added to the deviation of a clip's pixels, so that a black clip stays finite
COLUMNS_PER_FRAME = 4


@dataclass(frozen=True)
class PairsConfig:
    """How snippets are drawn. A batch holds snippets of one length, `batch_frames` frames in all."""

    snippet_frames: tuple[int, ...] = (28, 45, 60)
    batch_frames: int = 600
    margin_s: float = 0.4  # sound before and after the snippet, where the clip has it
    speaker_power: float = 0.5  # a speaker with m minutes is drawn in proportion to m ** power
    speaker_cap: float = 0.05  # no speaker gets more than this share of the draws
    corpus_cap: float = 0.3  # nor a corpus more than this
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class Batch:
    """B snippets of L frames: crops (B, L, S, S) uint8; mfcc (B, 13, N) float32, standardised per snippet;
    mask (B, N - 19) bool, audio windows that are wholly real sound; audio_times (B, N - 19) float32, seconds from
    the middle of the first video window to the middle of each audio window."""

    crops: Tensor
    mfcc: Tensor
    mask: Tensor
    audio_times: Tensor

    def pin_memory(self) -> "Batch":
        return Batch(*(t.pin_memory() for t in (self.crops, self.mfcc, self.mask, self.audio_times)))

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(t.to(device, non_blocking=True) for t in (self.crops, self.mfcc, self.mask, self.audio_times)))


def standardised_crops(crops: Tensor) -> Tensor:
    """(B, T, S, S) uint8 -> float32 of zero mean and unit deviation over each clip's pixels."""
    x = crops.float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + PICTURE_EPS)


def standardised_mfcc(mfcc: NDArray[np.float32], real: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(13, N) with every coefficient of zero mean and unit deviation over the `real` (N,) columns, 0 elsewhere."""
    if not real.any():
        return np.zeros_like(mfcc)
    mean = mfcc[:, real].mean(1, keepdims=True)
    deviation = mfcc[:, real].std(1, keepdims=True)
    return np.asarray((mfcc - mean) / (deviation + np.float32(STANDARD_EPS)) * real, np.float32)


@dataclass(frozen=True)
class Snippet:
    """One training example before it is put into a batch (shapes as in `Batch`, without B)."""

    crops: NDArray[np.uint8]
    mfcc: NDArray[np.float32]
    mask: NDArray[np.bool_]
    audio_times: NDArray[np.float32]


def read_snippet(clip: Clip, first: int, frames: int, network: SyncNetConfig, *, margin_s: float,
                 change: AugmentConfig | None = None, rng: Rng | None = None, babble: Sequence[Clip] = ()) -> Snippet:
    """Frames first ... first + frames - 1 of a clip with the sound of the same time, `margin_s` more on both sides.

    With `change` and `rng` picture and sound are augmented and the columns start at a random fraction of 10 ms;
    without, the columns start with the first frame exactly.
    """
    raw = read_crops(clip, first, frames)
    start_s = clip.sound_lead_s + first / FPS + clip.offset_ms / 1000.0
    phase = rng.integers(0, HOP) if rng is not None else 0
    at_frame = round(start_s * SAMPLE_RATE)
    margin = round(margin_s / HOP_S)
    columns = frames * COLUMNS_PER_FRAME + 2 * margin
    start = at_frame - margin * HOP - int(phase)
    samples, low, high = read_sound(clip, start, (columns - 1) * HOP + COLUMN_SAMPLES)
    if change is not None and rng is not None:
        crops = augment.augment_crops(raw, network.crop_size, change, rng)
        mfcc = _changed_sound(samples, low, high, change, rng, babble)
    else:
        crops = augment.centre_crops(raw, network.crop_size)
        mfcc = augment.warped_mfcc(samples)
    begins = np.arange(columns) * HOP
    real = (begins >= low) & (begins + COLUMN_SAMPLES <= high)
    mfcc = standardised_mfcc(mfcc, real)
    if change is not None and rng is not None and change.coefficient_noise:
        strength = np.float32(rng.uniform(0.0, 2.0 * change.coefficient_noise))
        mfcc += rng.standard_normal(mfcc.shape, dtype=np.float32) * strength
    windows = columns - network.columns + 1
    mask = np.asarray(np.lib.stride_tricks.sliding_window_view(real, network.columns).all(-1))
    times = (np.arange(windows) * HOP + (start - start_s * SAMPLE_RATE)) / SAMPLE_RATE
    return Snippet(crops, mfcc, mask, times.astype(np.float32))


def _changed_sound(samples: NDArray[np.float32], low: int, high: int, change: AugmentConfig, rng: Rng,
                   babble: Sequence[Clip]) -> NDArray[np.float32]:
    if rng.random() < change.reverb:
        samples = augment.reverberate(samples, rng)
    if babble and rng.random() < change.babble:
        other = babble[int(rng.integers(len(babble)))]
        spare = max(0, other.sound_samples - len(samples))
        voice = read_sound(other, int(rng.integers(spare + 1)), len(samples))[0]
        samples = augment.add_noise(samples, voice, rng.uniform(*change.babble_snr_db))
    if rng.random() < change.noise:
        samples = augment.add_noise(samples, augment.coloured_noise(len(samples), rng),
                                    rng.uniform(*change.noise_snr_db))
    warp = 1.0 + rng.uniform(-change.vocal_tract, change.vocal_tract)
    cut = rng.uniform(3000.0, 7000.0) if rng.random() < change.band_limit else None
    return augment.warped_mfcc(samples, warp, cut)


def speaker_shares(clips: Sequence[Clip], config: PairsConfig) -> tuple[list[str], NDArray[np.float64]]:
    """Speakers and the probability with which each is drawn: minutes ** power, capped by speaker and by corpus."""
    minutes: dict[str, float] = defaultdict(float)
    corpus_of: dict[str, str] = {}
    for clip in clips:
        minutes[clip.speaker] += clip.minutes * clip.weight
        corpus_of[clip.speaker] = clip.corpus
    speakers = sorted(speaker for speaker, m in minutes.items() if m > 0)
    shares = np.array([minutes[s] ** config.speaker_power for s in speakers])
    shares /= shares.sum()
    corpora = np.array([corpus_of[s] for s in speakers])
    names = np.unique(corpora)
    for _ in range(20):  # capping one raises the others: repeat until both caps hold (or cannot)
        shares = np.minimum(shares, max(config.speaker_cap, 1.0 / len(speakers)))
        for name in names:
            total = shares[corpora == name].sum() / shares.sum()
            cap = max(config.corpus_cap, 1.0 / len(names))
            if total > cap:
                shares[corpora == name] *= cap / total
        shares /= shares.sum()
    return speakers, shares


def split_speakers(clips: Sequence[Clip], share: float, salt: str = "") -> tuple[list[Clip], list[Clip]]:
    """(train, held out) by speaker; a speaker with more than a twentieth of all minutes is never held out."""
    minutes: dict[str, float] = defaultdict(float)
    for clip in clips:
        minutes[clip.speaker] += clip.minutes
    limit = sum(minutes.values()) / 20
    held = {s for s, m in minutes.items() if m <= limit and is_held_out(s, share, salt)}
    return [c for c in clips if c.speaker not in held], [c for c in clips if c.speaker in held]


class Pairs(Dataset[Batch]):
    """Batch number i of an endless course: `pairs[i]` is always the same, whoever asks."""

    def __init__(self, clips: Sequence[Clip], network: SyncNetConfig, config: PairsConfig, *, seed: int,
                 rank: int = 0) -> None:
        self.network, self.config, self.seed, self.rank = network, config, seed, rank
        self.clips = [c for c in clips if c.crop_size >= network.crop_size and c.weight > 0]
        self.lengths = [n for n in config.snippet_frames if any(c.frames >= n for c in self.clips)]
        if not self.lengths:
            raise ValueError(f"no clip has {min(config.snippet_frames)} frames of {network.crop_size} pixels or more")

    @lru_cache(maxsize=16)  # noqa: B019 - one object per run
    def _eligible(self, length: int) -> tuple[NDArray[np.float64], list[list[Clip]], list[NDArray[np.float64]]]:
        by_speaker: dict[str, list[Clip]] = defaultdict(list)
        for clip in self.clips:
            if clip.frames >= length:
                by_speaker[clip.speaker].append(clip)
        speakers, shares = speaker_shares([c for group in by_speaker.values() for c in group], self.config)
        groups = [by_speaker[s] for s in speakers]
        weights = [np.array([c.minutes * c.weight for c in group]) for group in groups]
        return shares, groups, [w / w.sum() for w in weights]

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.seed, self.rank, step])
        length = self.lengths[int(rng.integers(len(self.lengths)))]
        shares, groups, weights = self._eligible(length)
        count = max(1, self.config.batch_frames // length)
        # Speakers of a batch differ where there are enough of them.
        chosen = rng.choice(len(groups), count, replace=len(groups) < 2 * count, p=shares)
        snippets = []
        for number in chosen:
            clip = groups[number][int(rng.choice(len(groups[number]), p=weights[number]))]
            first = int(rng.integers(clip.frames - length + 1))
            snippets.append(read_snippet(clip, first, length, self.network, margin_s=self.config.margin_s,
                                         change=self.config.augment, rng=rng, babble=self.clips))
        return Batch(
            torch.from_numpy(np.stack([s.crops for s in snippets])),
            torch.from_numpy(np.stack([s.mfcc for s in snippets])),
            torch.from_numpy(np.stack([s.mask for s in snippets])),
            torch.from_numpy(np.stack([s.audio_times for s in snippets])),
        )


def calibration_inputs(clips: Sequence[Clip], network: SyncNetConfig, count: int
                       ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Standardised crops (T, S, S) and MFCC (13, N) of `count` clips spread evenly over the list, T at most 60."""
    chosen = [c for c in clips if c.frames >= network.frames]
    inputs = []
    for clip in chosen[:: max(1, len(chosen) // count)][:count]:
        snippet = read_snippet(clip, 0, min(clip.frames, 60), network, margin_s=0.0)
        inputs.append((standardised_crops(torch.from_numpy(snippet.crops)[None])[0].numpy(), snippet.mfcc))
    return inputs
