"""Where sound truly lies in a file, by the `ffmpeg` program and correlation: no code of the package, no network."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000
REACH_S = 1.6

Floats = NDArray[np.float32]


def run(*command: str | Path) -> tuple[bytes, str]:
    """What a program prints on stdout and stderr; raises RuntimeError with its words when it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, stdin=subprocess.DEVNULL)
    errors = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{errors}")
    return done.stdout, errors


def probe(path: Path, what: str, stream: str | None = None) -> float:
    """One number of a file or of one of its streams by ffprobe."""
    chosen = (
        ["-select_streams", stream, "-show_entries", f"stream={what}"]
        if stream
        else ["-show_entries", f"format={what}"]
    )
    said, _ = run("ffprobe", "-v", "error", *chosen, "-of", "default=nk=1:nw=1", path)
    return float(said.split()[0])


def picture_start(path: Path) -> float:
    """Presentation time of the first picture in s."""
    return probe(path, "start_time", "v:0")


def heard(path: Path) -> Floats:
    """The first sound track as mono 16 kHz from the time of the first picture on."""
    at_zero = f"aresample={RATE}:async=1:min_hard_comp=0.01:first_pts=0"  # gaps from 10 ms on count, not only from 100
    raw, _ = run(
        "ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", "0:a:0", "-af", at_zero, "-ac", "1", "-f", "f32le", "-"
    )
    samples = np.frombuffer(raw, np.float32)
    first = round(picture_start(path) * RATE)
    return samples[first:] if first >= 0 else np.concatenate([np.zeros(-first, np.float32), samples])


def lag_ms(
    sound: Floats, reference: Floats, start: float = 0.0, length: float | None = None, reach_s: float = REACH_S
) -> float:
    """Milliseconds by which a sound is late of the reference, NaN where they are not alike.

    Compared over `length` s of the reference from `start` on; both begin at their file's first picture.
    """
    first = round(start * RATE)
    part = reference[first:] if length is None else reference[first : first + round(length * RATE)]
    reach = round(reach_s * RATE)
    around = np.zeros(len(part) + 2 * reach, np.float32)
    low = first - reach
    piece = sound[max(0, low) : max(0, low + len(around))]
    around[max(0, -low) : max(0, -low) + len(piece)] = piece
    size = 1 << int(np.ceil(np.log2(len(around) + len(part) + 1)))
    product = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(part, size)), size)[: 2 * reach + 1]
    energy = np.concatenate([[0.0], np.cumsum(around.astype(np.float64) ** 2)])
    under = energy[len(part) : len(part) + 2 * reach + 1] - energy[: 2 * reach + 1]
    alike = product / np.sqrt(np.maximum(under * float(np.sum(part.astype(np.float64) ** 2)), 1e-9))
    best = int(alike.argmax())
    return (best - reach) / RATE * 1e3 if alike[best] > 0.4 else float("nan")


@dataclass(frozen=True)
class Kept:
    """What must not change: a hash of the packets of pictures and of sound, and the length in s."""

    pictures: str
    sound: str
    seconds: float


def kept(path: Path) -> Kept:
    """Read what a repair must keep."""
    hashes = []
    for kind in ("v", "a"):
        said, _ = run("ffmpeg", "-v", "error", "-i", path, "-map", f"0:{kind}", "-c", "copy", "-f", "hash", "-")
        hashes.append(said.decode().strip())
    return Kept(hashes[0], hashes[1], probe(path, "duration"))


def complaints(path: Path) -> str:
    """What the ffmpeg program says while it decodes the whole file: empty when all is well."""
    return run("ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-")[1]
