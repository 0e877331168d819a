"""A second witness of where sound and lips fit: LR-ASD's features and a linear map, with no network of ours.

python benchmarks/ridge.py

LR-ASD (Liao et al., 2025; trained by others on other people) turns face pictures and MFCC into 128 features a frame.
A ridge regression, fitted on train clips as published, foretells the sound's features from the picture's; the shift at
which foretold and real lie nearest is where the sound belongs. A clip's answer moves with its sound, so the map cannot
have learned where this clip stands.

Its features see 9 frames either way, and beyond the ends of a clip they see zeros. Both streams bear that mark at the
same place, and a map that may use it finds "in sync" at the place where both were cut. So 9 frames at either end are
left out, in the fit and after. Run by itself this file shows what happens else: dev clips as they are, and with the
first 120 ms of their sound cut away before LR-ASD hears it, with the ends and without.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from corpus import Clip, clips, even
from lr_asd import SIDE, Peer, face_square
from numpy.typing import NDArray

from syncnet.media import FPS, frames
from syncnet.sound_features import MFCC_RATE, sound_features
from syncnet.tracks import mouth_tracks

KEPT = Path(__file__).parents[1] / ".cache" / "ridge"
TRAIN_CLIPS = 170
SEES = 9  # frames that LR-ASD's features see on either side
REACH = 15  # frames searched either way

_NEIGHBOURS = 2  # frames on either side whose features are stacked
_WEIGHT = 3000.0  # of the ridge
_LEAST = 20  # frames that must be left to compare
_FRAME_MS = 1000 / FPS
_COLUMNS = round(MFCC_RATE / FPS)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """What the witness sees and hears of a clip: `video` (T, 128) float32 and the MFCC `(13, 4 T)` of the same time,
    with up to `REACH` frames more at the end where the file has them."""

    video: NDArray[np.float32]
    mfcc: NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where foretold and real sound lie nearest: `offset_ms` (audio time - video time) and how much nearer than usual
    (median - minimum of the distances)."""

    offset_ms: float
    depth: float


def main() -> None:
    views = [v for c in clips("dev") if (v := view(c)) is not None]
    print("LR-ASD features and a ridge regression fitted on train clips; where dev clips stand (split: dev)")
    for trim in (0, SEES):
        weights = fitted(trim)
        print("ends of the clips used" if trim == 0 else f"{trim} frames left out at either end")
        for cut in (0, 3):
            found = [p for v in views if (p := placed(v, weights, trim, cut)) is not None]
            at = np.array([round(p.offset_ms / _FRAME_MS) for p in found])
            still, moved = np.mean(at == 0), np.mean(np.abs(at + cut) <= 1)
            truth = -cut * _FRAME_MS
            words = f"sound cut to be {-truth:.0f} ms early" if cut else "as published"
            print(f"  {words:30s} {len(at)} clips, {still:4.0%} at 0, "
                  f"{moved:4.0%} within a frame of {truth:+.0f} ms")


def view(clip: Clip) -> View | None:
    """Features of the longest face of a clip, from disk if they were made before; None if it is too short."""
    kept = KEPT / f"{_digest(clip.path)}.npz"
    if not kept.is_file():
        print(f"\r{clip.name:50s}", end="", file=sys.stderr, flush=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f".{os.getpid()}.part.npz")
        np.savez(part, **_looked(clip.path))  # type: ignore[arg-type]  # as in seen.py
        os.replace(part, kept)
    with np.load(kept) as found:
        if "video" not in found or len(found["video"]) < _LEAST + 2 * SEES:
            return None
        return View(found["video"], found["mfcc"])


def _looked(path: Path) -> dict[str, NDArray[np.generic]]:
    tracks = list(mouth_tracks(frames(path)))
    if not tracks:
        return {}
    track = max(tracks, key=lambda t: len(t.crops))
    sound = sound_features(path, 0, [])
    at = round((track.start - sound.start) * MFCC_RATE)
    first = max(0, -(at // _COLUMNS))
    last = min(len(track.crops), (sound.mfcc.shape[1] - at) // _COLUMNS)
    if last <= first:
        return {}
    faces = np.empty((last - first, SIDE, SIDE), np.uint8)
    for picture in frames(path):
        k = round((picture.time - track.start) * FPS) - first
        if 0 <= k < len(faces):
            faces[k] = face_square(picture.luma, track.boxes, first + k)
    at += first * _COLUMNS
    end = at + (last - first + REACH) * _COLUMNS
    return {"video": _peer().video(faces).numpy(), "mfcc": sound.mfcc[:, at:end]}


@cache
def _peer() -> Peer:
    return Peer()


@cache
def _digest(path: Path) -> str:
    state = hashlib.sha256(Path(__file__).with_name("lr_asd.py").read_bytes())
    state.update(path.read_bytes())
    return state.hexdigest()[:32]


@cache
def fitted(trim: int = SEES) -> Floats:
    """The linear map from stacked picture features to those of the sound, learned on train clips as published."""
    rows = [c for c in clips("train") if c.seconds >= 3 and c.corpus not in ("grid", "lrwar-arabic")]
    squares, products = np.zeros(()), np.zeros(())
    for found in (v for c in even(rows, TRAIN_CLIPS) if (v := view(c)) is not None):
        inside = slice(trim, len(found.video) - trim)
        x, y = _stacked(found.video)[inside], _heard(found, 0)[inside]
        squares, products = squares + x.T @ x, products + x.T @ y
    return np.asarray(np.linalg.solve(squares + _WEIGHT * np.eye(len(squares)), products))


def placed(found: View, weights: Floats, trim: int = SEES, cut: int = 0, sound: View | None = None,
           within_ms: float = REACH * _FRAME_MS) -> Place | None:
    """Where the sound of a clip (or of another one), less its first `cut` frames, fits its lips best, of all places or
    of those within some ms of 0; None where too little is left to compare."""
    heard = _heard(sound or found, cut)
    count = min(len(found.video), len(heard))
    inside = slice(trim, count - trim)
    foretold, real = (_stacked(found.video) @ weights)[inside], heard[inside]
    if len(foretold) < _LEAST:
        return None
    reach = min(REACH, len(foretold) - _LEAST // 2)
    curve = np.array([_distance(foretold, real, shift) for shift in range(-reach, reach + 1)])
    far = np.abs(np.arange(-reach, reach + 1)) * _FRAME_MS > within_ms
    best = int(np.argmin(np.where(far, np.inf, curve)))
    at = float(best - reach)
    if 0 < best < len(curve) - 1:
        a, b, c = curve[best - 1 : best + 2]
        at += float((a - c) / 2 / (a - 2 * b + c))
    return Place(at * _FRAME_MS, float(np.median(curve) - curve[best]))


def _distance(foretold: Floats, real: Floats, shift: int) -> float:
    count = len(foretold)
    a = slice(max(0, -shift), min(count, count - shift))
    b = slice(max(0, shift), min(count, count + shift))
    return float(np.linalg.norm(foretold[a] - real[b], axis=1).mean())


def _stacked(video: NDArray[np.float32]) -> Floats:
    normed = np.pad(_level(video), ((_NEIGHBOURS, _NEIGHBOURS), (0, 0)), mode="edge")
    return np.concatenate([normed[k : k + len(video)] for k in range(2 * _NEIGHBOURS + 1)], axis=1)


def _heard(found: View, cut: int) -> Floats:
    """The MFCC of each frame and LR-ASD's features of the sound, both of zero mean and unit variance, (T, 52 + 128)."""
    first = cut * _COLUMNS
    count = min(len(found.video), (found.mfcc.shape[1] - first) // _COLUMNS)
    mfcc = found.mfcc[:, first : first + count * _COLUMNS]
    features = _peer().audio(mfcc).numpy()[:count]
    return np.concatenate([_level(mfcc.T.reshape(count, -1)), _level(features)], axis=1)


def _level(values: NDArray[np.float32]) -> Floats:
    exact = values.astype(np.float64)
    return np.asarray((exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-4))


if __name__ == "__main__":
    main()
