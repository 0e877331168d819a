"""How far lips move and sound rises in clips of the *train* split, and in held pictures and steady noise made here.

The limits of `syncnet.presence` rest on these figures.

python benchmarks/presence.py [--per-source 2]

The held pictures are the middle picture of each clip with grain and JPEG blocks anew in every frame, once at rest and
once slowly zoomed and panned; worse than most stills, which a codec holds without any change.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from corpus import Clip, clips, ffmpeg

from syncnet.analysis import sound_features
from syncnet.media import Frame, frames
from syncnet.presence import STEADY_DB, STILL, lip_movement, sound_rise
from syncnet.tracks import mouth_tracks

MOST = 150  # frames of each clip


def movement(shown: Iterable[Frame]) -> float:
    """The lips' movement in the track that moves most; NaN without a track."""
    return max((lip_movement(t.mouth_open, t.seen) for t in mouth_tracks(shown)), default=float("nan"))


def held(shown: list[Frame], zoom: float, pan: float) -> Iterator[Frame]:
    """The middle picture instead of each, larger by `zoom` and farther by `pan` pixels with every frame."""
    middle = shown[len(shown) // 2].luma
    grain = np.random.default_rng(1)
    height, width = middle.shape
    for k, frame in enumerate(shown):
        z = 1 + zoom * k
        place = np.array([[z, 0, (1 - z) * width / 2 + pan * k], [0, z, (1 - z) * height / 2]])
        picture = cv2.warpAffine(middle, place, (width, height), borderMode=cv2.BORDER_REFLECT)
        noisy = np.clip(picture + grain.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 50 + int(grain.integers(20))])[1]
        yield Frame(frame.time, np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8))


def noise_rise(colour: str) -> float:
    """Rise of six seconds of noise that went through a codec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.m4a"
        ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d=6:c={colour}:a=0.1:seed=1", "-c:a", "aac", "-b:a", "48k", path)
        return sound_rise(sound_features(path, 0, []).mfcc[0])


def chosen(per_source: int) -> list[Clip]:
    """A few train clips of every source."""
    by_source: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips("train"):
        by_source[clip.corpus].append(clip)
    draw = random.Random(3)
    return [c for s in sorted(by_source) for c in draw.sample(by_source[s], min(per_source, len(by_source[s])))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Lip movement of talking faces and of held pictures, train clips.")
    parser.add_argument("--per-source", type=int, default=2)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    moved: dict[str, list[float]] = defaultdict(list)
    rises: list[float] = []
    work = chosen(given.per_source)
    for number, clip in enumerate(work, 1):
        shown = list(islice(frames(clip.path), MOST))
        rises.append(sound_rise(sound_features(clip.path, 0, []).mfcc[0]))
        moved["talking"].append(movement(shown))
        moved["held"].append(movement(held(shown, 0.0, 0.0)))
        moved["held, zoomed and panned"].append(movement(held(shown, 0.0015, 0.3)))
        print(f"\r{number} of {len(work)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"split: train, {len(work)} clips. Movement of the lips, in units of face size; still is under {STILL:g}")
    print(f"{'':26s} {'least':>8s} {'median':>8s} {'most':>8s} {'called still':>13s}")
    for name, values in moved.items():
        known = np.array([v for v in values if np.isfinite(v)])
        still = f"{(known < STILL).sum()} of {len(known)}"
        print(f"{name:26s} {known.min():8.4f} {np.median(known):8.4f} {known.max():8.4f} {still:>13s}")
    print(f"rise of the sound: {min(rises):.1f} dB at least, {np.median(rises):.1f} in the median")
    made = ", ".join(f"{colour} {noise_rise(colour):.1f} dB" for colour in ("white", "pink", "brown"))
    print(f"rise of noise through AAC at 48 kbit/s: {made}; steady is under {STEADY_DB:g} dB")


if __name__ == "__main__":
    main()
