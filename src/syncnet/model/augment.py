"""Random changes of picture and sound that leave their timing alone, cheap enough for one core beside training."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from syncnet.mfcc import FFT_SIZE, FLOOR, FULL_SCALE, HOP, PRE_EMPHASIS, SAMPLE_RATE, WINDOW, _cosines, _mel_filters

Rng = np.random.Generator


@dataclass(frozen=True)
class AugmentConfig:
    """Strength (uniform ranges, pixels of the 111 crop, dB) and probability of each change; all 0 = none."""

    shift_px: float = 6.0
    zoom: float = 0.12
    rotate_deg: float = 8.0
    shear: float = 0.06
    jitter_px: float = 0.8
    jitter_zoom: float = 0.01
    flip: float = 0.5
    light: float = 0.8
    blur: float = 0.25
    small_face: float = 0.2
    jpeg: float = 0.15
    grain: float = 0.25
    occlusion: float = 0.1
    repeat_frames: float = 0.1
    noise: float = 0.5
    noise_snr_db: tuple[float, float] = (5.0, 35.0)
    babble: float = 0.25
    babble_snr_db: tuple[float, float] = (5.0, 25.0)
    reverb: float = 0.25
    band_limit: float = 0.1
    vocal_tract: float = 0.15
    coefficient_noise: float = 0.1

    @classmethod
    def none(cls) -> "AugmentConfig":
        zeros: dict[str, Any] = {name: 0.0 for name in cls.__dataclass_fields__ if not name.endswith("_db")}
        return cls(**zeros)


def augment_crops(crops: NDArray[np.uint8], size: int, config: AugmentConfig, rng: Rng) -> NDArray[np.uint8]:
    """(T, S, S) uint8 crops with a margin -> (T, size, size) uint8, one random look for the whole snippet."""
    frames, height, width = crops.shape
    zoom = np.exp(rng.uniform(-config.zoom, config.zoom))
    angle = np.deg2rad(rng.uniform(-config.rotate_deg, config.rotate_deg))
    shear = rng.uniform(-config.shear, config.shear)
    aspect = np.exp(rng.uniform(-config.shear, config.shear))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[aspect, shear], [0.0, 1.0 / aspect]]) / zoom
    if rng.random() < config.flip:
        linear[:, 0] *= -1.0
    shift = rng.uniform(-config.shift_px, config.shift_px, 2)
    wander = _wander(frames, 3, rng) * (config.jitter_px, config.jitter_px, config.jitter_zoom)
    order = _repeats(frames, rng) if rng.random() < config.repeat_frames else np.arange(frames)

    # Output pixel p shows the input at linear (p - middle) + middle of the input + shift.
    middle = np.array([(size - 1) / 2, (size - 1) / 2])
    origin = np.array([(width - size) // 2, (height - size) // 2]) + middle
    out = np.empty((frames, size, size), dtype=np.uint8)
    matrix = np.empty((2, 3))
    for i in range(frames):
        matrix[:, :2] = linear * (1.0 + wander[i, 2])
        matrix[:, 2] = origin + shift + wander[i, :2] - matrix[:, :2] @ middle
        cv2.warpAffine(crops[order[i]], matrix, (size, size), dst=out[i],
                       flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)

    if rng.random() < config.small_face:
        small = int(size * rng.uniform(0.25, 0.7))
        for image in out:
            image[:] = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (size, size),
                                  interpolation=cv2.INTER_LINEAR)
    elif rng.random() < config.blur:
        sigma = rng.uniform(0.4, 2.0)
        for image in out:
            cv2.GaussianBlur(image, (0, 0), sigma, dst=image)
    if rng.random() < config.light:
        cv2.LUT(out.reshape(frames * size, size), _light_curve(rng), dst=out.reshape(frames * size, size))
    if rng.random() < config.occlusion:
        _occlude(out, rng)
    if rng.random() < config.grain:
        noise, strength = _grain(), rng.uniform(1.0, 8.0)
        for image in out:
            start = int(rng.integers(len(noise) - size * size))
            speckle = noise[start:start + size * size].reshape(size, size) * np.float32(strength)
            cv2.add(image, speckle, dst=image, dtype=cv2.CV_8U)
    if rng.random() < config.jpeg:
        quality = int(rng.integers(15, 70))
        for image in out:
            coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
            image[:] = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
    return out


def centre_crops(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central (T, size, size) of (T, S, S)."""
    top = (crops.shape[1] - size) // 2
    return np.ascontiguousarray(crops[:, top:top + size, top:top + size])


def _wander(steps: int, columns: int, rng: Rng) -> NDArray[np.float64]:
    """(steps, columns) smooth random curves of about unit deviation: a tracker's wandering box."""
    knots = max(2, steps // 4 + 2)
    values = rng.standard_normal((knots, columns))
    at = np.linspace(0, knots - 1, steps)
    return np.stack([np.interp(at, np.arange(knots), values[:, k]) for k in range(columns)], axis=1)


def _repeats(frames: int, rng: Rng) -> NDArray[np.int64]:
    """Frame numbers with some shown twice, as a conversion of frame rates leaves them."""
    order = np.arange(frames)
    period, phase = rng.integers(3, 8), rng.integers(0, 8)
    repeated = (order + phase) % period == 0
    repeated[0] = False
    order[repeated] -= 1
    return order


def _light_curve(rng: Rng) -> NDArray[np.uint8]:
    grey = np.arange(256) / 255.0
    gamma, contrast, shift = np.exp(rng.uniform(-0.4, 0.4)), np.exp(rng.uniform(-0.5, 0.3)), rng.uniform(-0.15, 0.15)
    curve = 0.5 + (grey**gamma - 0.5) * contrast + shift
    return np.asarray(np.clip(curve * 255.0 + 0.5, 0, 255), np.uint8)


def _occlude(images: NDArray[np.uint8], rng: Rng) -> None:
    """A still patch of plain grey over part of the picture (a microphone, a caption)."""
    size = images.shape[1]
    height, width = rng.integers(size // 10, size // 3, 2)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    images[:, top:top + height, left:left + width] = rng.integers(0, 256)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(1 << 18, dtype=np.float32)


def add_noise(samples: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float) -> NDArray[np.float32]:
    """Sound plus noise (n,) at a signal-to-noise ratio in dB; silence gets noise at -60 dB of full scale."""
    level = np.sqrt(np.mean(np.square(samples)) + 1e-12)
    scale = max(level, 1e-3) / (np.sqrt(np.mean(np.square(noise))) + 1e-9) * 10.0 ** (-snr_db / 20.0)
    return samples + noise * np.float32(scale)


def coloured_noise(samples: int, rng: Rng) -> NDArray[np.float32]:
    """(n,) noise with a random spectral slope between white and brown."""
    size = 1 << (samples - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0.0, 1.0)
    return np.fft.irfft(spectrum, size)[:samples].astype(np.float32)


def reverberate(samples: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """The sound in a random room: direct path first (no delay), then noise that decays exponentially."""
    seconds = rng.uniform(0.1, 0.6)  # RT60: -60 dB after this time
    length = int(seconds * SAMPLE_RATE)
    echo = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    echo[: rng.integers(16, 200)] = 0.0
    echo *= 10.0 ** (-rng.uniform(0.0, 15.0) / 20.0) / (np.sqrt(np.sum(np.square(echo))) + 1e-9)
    echo[0] = 1.0
    size = 1 << int(len(samples) + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)
    return wet[: len(samples)].astype(np.float32)


@lru_cache(maxsize=64)
def _warped_filters(warp: float) -> NDArray[np.float64]:
    """Mel filters (257, 26) that hear frequency f * warp where the plain ones hear f (vocal-tract length)."""
    filters = _mel_filters()
    bins = np.arange(len(filters))
    return np.stack([np.interp(bins / warp, bins, column, right=0.0) for column in filters.T], axis=1)


def warped_mfcc(samples: NDArray[np.float32], warp: float = 1.0, cut_hz: float | None = None) -> NDArray[np.float32]:
    """`syncnet.mfcc.mfcc` of one piece with warped formants and, if asked, nothing heard above `cut_hz`.

    samples: (N,), N >= 400. Returns (13, 1 + (N - 400) // 160) float32; with warp 1 equal to `mfcc`.
    """
    scaled = samples.astype(np.float64) * FULL_SCALE
    scaled[1:] -= PRE_EMPHASIS * scaled[:-1]
    spectrum = np.fft.rfft(sliding_window_view(scaled, WINDOW)[::HOP], FFT_SIZE)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) / FFT_SIZE
    if cut_hz is not None:
        power[:, int(cut_hz * FFT_SIZE / SAMPLE_RATE):] *= 1e-4
    mel = np.log(np.maximum(power @ _warped_filters(round(warp, 2)), FLOOR))
    cepstra = mel @ _cosines()
    cepstra[:, 0] = np.log(np.maximum(power.sum(axis=1), FLOOR))
    return np.ascontiguousarray(cepstra.T, dtype=np.float32)
