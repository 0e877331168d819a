"""Media for the tests of repair: noise whose place on the clock is known to a fraction of a millisecond."""

import hashlib
import subprocess
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from syncnet.media import probe, read_sound
from syncnet.timeline import Timeline, constant

RATE = 48000
SECONDS = 6.0
CONTAINERS = {
    "mp4": "-c:a aac -b:a 128k",
    "mkv": "-c:a libopus -b:a 96k",
    "mov": "-c:a pcm_s16le",
    "ts": "-c:a ac3 -b:a 192k",
    "webm": "-c:a libopus -b:a 96k",
    "avi": "-c:a libmp3lame -b:a 128k",
}


@lru_cache(maxsize=1)
def reference() -> NDArray[np.float32]:
    """Sound (2, N) at 48 kHz, from 2 s before the pictures to 2 s after them, loudness going up and down."""
    rng = np.random.default_rng(0)
    count = round((SECONDS + 4) * RATE)
    noise = rng.standard_normal((2, count))
    soft = np.stack([np.convolve(channel, np.hanning(14), "same") for channel in noise])
    loud = 0.1 + 0.9 * np.abs(np.sin(np.arange(count) / RATE * 5))
    return np.asarray(soft / np.abs(soft).max() * loud * 0.6, dtype=np.float32)


def ffmpeg(*arguments: str | Path) -> str:
    """Run the ffmpeg program; returns what it says."""
    command = ["ffmpeg", "-y", "-hide_banner", "-nostdin", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def write_wav(path: Path, samples: NDArray[np.floating]) -> Path:
    """Write (C, N) samples as 16-bit WAV."""
    raw = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").T.tobytes()
    command = ["-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", str(len(samples)), "-i", "pipe:0", path]
    subprocess.run(["ffmpeg", "-y", *map(str, command)], input=raw, check=True)
    return path


def late_by(ms: float) -> NDArray[np.float32]:
    """The reference as it would be with the pictures if it were late by so much (negative: early)."""
    first = round((2 - ms / 1e3) * RATE)
    return reference()[:, first : first + round(SECONDS * RATE)]


def make(folder: Path, container: str, sound: NDArray[np.floating], *, codec: str | None = None) -> Path:
    """A file of test pictures with B-frames and the given sound, made by the ffmpeg program."""
    wav = write_wav(folder / "sound.wav", sound)
    seconds = f"{sound.shape[1] / RATE:.3f}"
    usual = "-c:v libx264 -bf 2 -preset ultrafast"
    video = {"webm": "-c:v libvpx -b:v 200k", "avi": "-c:v mpeg4"}.get(container, usual)
    path = folder / f"clip.{container}"
    pictures = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={seconds}")
    coding = (*video.split(), "-pix_fmt", "yuv420p", *(codec or CONTAINERS[container]).split())
    ffmpeg("-v", "error", *pictures, "-i", wav, "-map", "0:v", "-map", "1:a", *coding, path)
    return path


def lateness(path: Path, start: float = 0.0, length: float = SECONDS, track: int = 0) -> float:
    """True lateness in ms of the sound that belongs to the pictures from `start` on, by correlation at 16 kHz."""
    pictures = probe(path).video[0].start
    wanted = reference().mean(axis=0)
    first = round((2 + start + 0.2 * length) * RATE)
    middle = wanted[first : first + round(0.6 * length * RATE)][1::3]  # crude, and the same for all
    reach = 1.5
    begin = pictures + start + 0.2 * length - reach
    sound = read_sound(path, track=track, start=begin, end=begin + 0.6 * length + 2 * reach)
    size = 1 << int(np.ceil(np.log2(len(sound.samples) + len(middle))))
    spectrum = np.fft.rfft(sound.samples, size) * np.conj(np.fft.rfft(middle, size))
    likeness = np.fft.irfft(spectrum, size)[: len(sound.samples)]
    found = sound.start + (int(likeness.argmax()) - 1 / 3) / 16000
    return float((found - (pictures + start + 0.2 * length)) * 1e3)


def measured(path: Path, on_time: object = None) -> Timeline:
    """A measurement that knows the truth: a constant timeline of the true lateness."""
    info = probe(path)
    end = info.video[0].start + (info.video[0].duration or info.duration or 0.0)
    found = constant(lateness(path), info.video[0].start, end)
    return replace(found, kind="in sync") if abs(found.segments[0].offset_ms) < 20 else found


@dataclass(frozen=True)
class Copied:
    """What a stream's packets are: a hash of their data, how many, and their times."""

    digest: str
    count: int
    times: tuple[float, ...]


def packets(path: Path, index: int, **options: str) -> Copied:
    """Hash and times of one stream's packets."""
    digest = hashlib.sha256()
    times = []
    with av.open(str(path), options=options) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                digest.update(bytes(packet))
                stamp = packet.pts if packet.pts is not None else packet.dts
                times.append(float((stamp or 0) * packet.time_base))
    return Copied(digest.hexdigest(), len(times), tuple(times))
