"""Sound to mel-frequency cepstral coefficients: 13 numbers every 10 ms.

The arithmetic is that of the usual `python_speech_features.mfcc` defaults on 16-bit samples at 16 kHz: pre-emphasis,
rectangular windows of 25 ms, power spectrum, 26 triangular mel filters up to 8 kHz, logarithm, cosine transform,
sinusoidal lifter (Davis & Mermelstein 1980; Young et al., The HTK Book), with the first coefficient replaced by the
log energy of the window.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from syncnet.errors import InputError

SAMPLE_RATE = 16000  # samples per second
COLUMN_RATE = 100  # columns of coefficients per second
HOP = SAMPLE_RATE // COLUMN_RATE  # 160 samples between columns
WINDOW = 25 * SAMPLE_RATE // 1000  # 400 samples, 25 ms, under each column
OVERLAP = WINDOW - HOP  # 240 samples shared by neighbouring columns
FFT_SIZE = 512  # the window, zero-padded to a power of two
COEFFICIENTS = 13
FILTERS = 26
LIFTER = 22
PRE_EMPHASIS = 0.97
FULL_SCALE = 32768.0  # the amplitude 1.0 as a 16-bit sample
FLOOR = float(np.finfo(np.float64).eps)  # least power, so that silence has a logarithm

# Columns are always computed in blocks of this many, counted from the first sample. The rounding of a matrix product
# depends on its shape, so only a fixed division makes a stream equal to the whole to the last bit.
BLOCK_COLUMNS = 250


def mfcc(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn sound into its mel-frequency cepstral coefficients.

    samples: (N,) floats in [-1, 1], mono, 16 kHz.
    Returns (13, T) float32; column j covers samples [160 j, 160 j + 400), the last one padded with zeros, so
    T = 1 + ceil((N - 400) / 160), at least 1, and 0 where N is 0.
    Raises InputError if the samples are not a vector of finite floats.
    """
    return np.ascontiguousarray(np.concatenate([_NO_COLUMNS, *mfcc_stream([samples])], axis=1))


def mfcc_stream(chunks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Turn sound that arrives in chunks into the coefficients of the whole, block by block, in bounded memory.

    chunks: (n,) floats in [-1, 1], mono, 16 kHz, each following the one before; any sizes, also 0.
    Yields (13, n) float32, n >= 1; put side by side they equal `mfcc` of the joined chunks exactly.
    Raises InputError if a chunk is not a vector of finite floats.
    """
    # One sample of history for the pre-emphasis, then the samples under the next BLOCK_COLUMNS columns.
    buffer = np.zeros(1 + BLOCK_COLUMNS * HOP + OVERLAP, dtype=np.float64)
    filled, started = 1, False
    for chunk in chunks:
        _check(chunk)
        at = 0
        while at < len(chunk):
            n = min(len(chunk) - at, len(buffer) - filled)
            np.multiply(chunk[at : at + n], FULL_SCALE, out=buffer[filled : filled + n], dtype=np.float64)
            at, filled = at + n, filled + n
            if filled == len(buffer):
                yield _columns(buffer)
                buffer[: 1 + OVERLAP] = buffer[-1 - OVERLAP :]
                filled, started = 1 + OVERLAP, True
    left = -((OVERLAP - (filled - 1)) // HOP)  # ceil: columns until every sample is covered
    if filled > 1 and not started:
        left = max(left, 1)
    if left > 0:
        padded = np.zeros(1 + left * HOP + OVERLAP, dtype=np.float64)
        padded[:filled] = buffer[:filled]
        yield _columns(padded, filled)


_NO_COLUMNS = np.empty((COEFFICIENTS, 0), dtype=np.float32)


def _check(samples: NDArray[np.float32]) -> None:
    if samples.ndim != 1:
        raise InputError(f"Sound must be one vector of samples, mono; this has the shape {samples.shape}.")
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"Samples must be floats in [-1, 1], not {samples.dtype}; divide 16-bit samples by 32768.")
    if not np.isfinite(samples).all():
        raise InputError("The sound holds samples that are not numbers (NaN or infinite); decode or export it again.")


def _columns(buffer: NDArray[np.float64], end: int | None = None) -> NDArray[np.float32]:
    """Coefficients (13, n) of a sample of history and 160 n + 240 samples; from `end` the buffer holds padding."""
    emphasised = buffer[1:] - PRE_EMPHASIS * buffer[:-1]
    if end is not None:
        emphasised[end - 1 :] = 0.0  # the padding comes after the filter
    spectrum = np.fft.rfft(sliding_window_view(emphasised, WINDOW)[::HOP], FFT_SIZE)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) / FFT_SIZE
    mel = np.log(np.maximum(power @ _mel_filters(), FLOOR))
    cepstra = mel @ _cosines()
    cepstra[:, 0] = np.log(np.maximum(power.sum(axis=1), FLOOR))
    return np.ascontiguousarray(cepstra.T, dtype=np.float32)


@cache
def _mel_filters() -> NDArray[np.float64]:
    """Triangular filters (257, 26), evenly spaced on the mel scale from 0 to 8 kHz, corners on whole FFT bins."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    corners_hz = 700.0 * (10.0 ** (np.linspace(0.0, top, FILTERS + 2) / 2595.0) - 1.0)
    corners = np.floor((FFT_SIZE + 1) * corners_hz / SAMPLE_RATE)
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(FFT_SIZE // 2 + 1, dtype=np.float64)[:, None]
    slopes: NDArray[np.float64] = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(slopes, 0.0)


@cache
def _cosines() -> NDArray[np.float64]:
    """Orthonormal type-II cosine transform (26, 13) with the lifter 1 + 11 sin(pi k / 22) multiplied in."""
    k = np.arange(COEFFICIENTS)
    n = np.arange(FILTERS)[:, None]
    basis: NDArray[np.float64] = np.sqrt(2.0 / FILTERS) * np.cos(np.pi * k * (2 * n + 1) / (2 * FILTERS))
    basis[:, 0] /= np.sqrt(2.0)  # never used: the log energy takes its place
    basis *= 1.0 + LIFTER / 2 * np.sin(np.pi * k / LIFTER)
    return basis
