"""A long film of dev clips end to end, and copies of it whose sound drifts or steps by known amounts."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from corpus import clips, ffmpeg
from true_shift import Floats, picture_start, run

RATE = 48000
FPS = 25
LEAST_S = 4.0
LOOK = "scale=320:320:force_original_aspect_ratio=decrease,pad=320:320:-1:-1,setsar=1,fps=25"
VIDEO = ("-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-bf", "0", "-g", "50", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Film:
    """`pictures`: a file without sound. `sound`: (N,) float32 at 48 kHz, in sync. `cuts`: where clips meet, in s."""

    pictures: Path
    sound: Floats
    cuts: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each clip in s."""
        return list(zip([0.0, *self.cuts], [*self.cuts, self.seconds], strict=True))


@dataclass(frozen=True)
class Variant:
    """A way in which sound is off: `edges` in s and, between them, (offset in ms at the start, ms per minute)."""

    name: str
    kind: str
    edges: tuple[float, ...]
    lines: tuple[tuple[float, float], ...]


def make_film(folder: Path, seconds: float) -> Film:
    """Write dev clips of 4 s and more after each other, over again where they do not suffice."""
    chosen = [clip for clip in clips("dev") if clip.seconds >= LEAST_S]
    parts: list[Path] = []
    sounds: list[Floats] = []
    cuts = [0.0]
    while cuts[-1] < seconds:
        number = len(parts)
        clip = chosen[number % len(chosen)]
        part = folder / f"part{number % len(chosen)}.mkv"
        if not part.exists():
            ffmpeg("-i", clip.path, "-vf", LOOK, *VIDEO, folder / "new.mkv")
            (folder / "new.mkv").rename(part)
        said, _ = run(
            "ffprobe",
            "-v",
            "error",
            "-count_packets",
            "-show_entries",
            "stream=nb_read_packets",
            "-of",
            "csv=p=0",
            part,
        )
        count = round(int(said.split()[0].strip(b",")) * RATE / FPS)
        sounds.append(_sound(clip.path, count))
        parts.append(part)
        cuts.append(cuts[-1] + count / RATE)
    pictures = folder / f"pictures{len(parts)}.mkv"
    if pictures.exists():
        return Film(pictures, np.concatenate(sounds), tuple(cuts[1:-1]))
    listed = folder / "parts.txt"
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    ffmpeg("-f", "concat", "-safe", "0", "-i", listed, "-c", "copy", folder / "new.mkv")
    (folder / "new.mkv").rename(pictures)
    return Film(pictures, np.concatenate(sounds), tuple(cuts[1:-1]))


def _sound(path: Path, count: int) -> Floats:
    """So many samples from the time of the first picture on."""
    at_zero = f"aresample={RATE}:async=1:first_pts=0"
    raw, _ = run("ffmpeg", "-v", "error", "-copyts", "-i", path, "-af", at_zero, "-ac", "1", "-f", "f32le", "-")
    samples = np.frombuffer(raw, np.float32)[round(max(0.0, picture_start(path)) * RATE) :][:count]
    return np.concatenate([samples, np.zeros(count - len(samples), np.float32)])


def aligned(film: Film, own_ms: Sequence[float]) -> Film:
    """The film as if its clips were of one recording: the sound of each moved by what it is off by itself."""
    parts = []
    for (start, end), ms in zip(film.spans, own_ms, strict=True):
        part = film.sound[round(start * RATE) : round(end * RATE)]
        by = max(-len(part), min(len(part), round(ms / 1e3 * RATE)))
        silence = np.zeros(abs(by), np.float32)
        parts.append(np.concatenate([part[by:], silence] if by >= 0 else [silence, part[:by]]))
    return replace(film, sound=np.concatenate(parts))


def off(film: Film, variant: Variant) -> Floats:
    """The film's sound as it is when it is off in this way."""
    out = np.zeros_like(film.sound)
    for first, last, (start_ms, rate) in zip(variant.edges, variant.edges[1:], variant.lines, strict=False):
        low, high = round(first * RATE), min(round(last * RATE), len(out))
        slope = rate / 60e3
        for block in range(low, high, RATE * 20):
            here = np.arange(block, min(block + RATE * 20, high)) / RATE
            place = (first + (here - first - start_ms / 1e3) / (1 + slope)) * RATE
            base = max(0, int(place[0]) - 1)
            around = film.sound[base : int(place[-1]) + 3]
            if len(around):
                grid = np.arange(base, base + len(around))
                out[block : block + len(here)] = np.interp(place, grid, around, left=0.0, right=0.0)
    return out


def write(film: Film, sound: Floats, out: Path, *audio: str) -> Path:
    """Put a sound beside the film's pictures."""
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-y",
        "-i",
        film.pictures,
        "-f",
        "f32le",
        "-ar",
        str(RATE),
        "-ac",
        "1",
    ]
    maps = [
        "-i",
        "pipe:0",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        *(audio or ("-c:a", "aac", "-b:a", "96k")),
        out,
    ]
    subprocess.run([*map(str, command), *map(str, maps)], input=sound.tobytes(), check=True)
    return out


def variants(film: Film) -> list[Variant]:
    """Drifts of +20, -20 and +100 ms a minute from several offsets on, and three steps, at cuts and between them."""
    end = film.seconds
    drifts = [
        Variant(f"drift {rate:+d} ms/min from {start:+d} ms", "drift", (0.0, end), ((float(start), float(rate)),))
        for rate, start in ((20, 0), (-20, 60), (100, -300), (20, -120), (-20, 0), (100, 0))
    ]
    at = [end * share for share in (0.25, 0.52, 0.81)]
    on_cut = [min(film.cuts, key=lambda cut: abs(cut - time)) for time in at]
    levels: Sequence[tuple[str, Sequence[float], tuple[int, ...]]] = (
        ("at cuts", on_cut, (0, 200, -120, 80)),
        ("between cuts", [time + 1.3 for time in on_cut], (0, 160, -80, 0)),
        ("at cuts", on_cut, (-240, 0, 320, 120)),
    )
    steps = [
        Variant(
            f"three steps {where} to {levels_ms}",
            "steps",
            (0.0, *edges, end),
            tuple((float(ms), 0.0) for ms in levels_ms),
        )
        for where, edges, levels_ms in levels
    ]
    return [*drifts, *steps]
