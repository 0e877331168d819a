"""What the network sees and hears of a file, kept between runs: it does not depend on the weights.

Nothing stale is read: the name of what is kept holds a digest of the file's bytes, of the copy that was asked for, of
all code and face networks that the crops and coefficients come from, and of the libraries that decode.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime
import variants
from variants import Variant

import syncnet
from syncnet.media import frames
from syncnet.sound_features import SoundFeatures, sound_features
from syncnet.tracks import MouthTrack, mouth_tracks

_CODE = "container mp4 media pictures sound mfcc sound_features shrink shots faces cascade crop_roll tracks".split()


@dataclass(frozen=True)
class Seen:
    """Sound and mouths of one file, as `syncnet.analysis.analyse` gets them."""

    sound: SoundFeatures
    stretches: tuple[MouthTrack, ...]


def watch(path: Path) -> Seen:
    """Look at a file through the product's own code."""
    return Seen(sound_features(path, 0, []), tuple(mouth_tracks(frames(path))))


def seen(clip: Path, variant: Variant, kept: Path | None) -> Seen:
    """What is seen of a copy of a clip: read from the folder `kept` where it is there, else made, and kept there."""
    place = None if kept is None else kept / f"{_digest(clip, variant)}.npz"
    if place is not None and place.is_file():
        return _load(place)
    with tempfile.TemporaryDirectory() as folder:
        found = watch(variant.make(clip, Path(folder)))
    if place is not None:
        _save(found, place)
    return found


def _digest(clip: Path, variant: Variant) -> str:
    state = hashlib.sha256(_code_digest())
    state.update(repr(variant).encode())
    state.update(clip.read_bytes())
    return state.hexdigest()[:32]


@cache
def _code_digest() -> bytes:
    package = Path(syncnet.__file__).parent
    state = hashlib.sha256(f"{av.__version__} {cv2.__version__} {np.__version__} {onnxruntime.__version__}".encode())
    files = [package / f"{name}.py" for name in _CODE]
    files += [*sorted((package / "weights" / "faces").glob("*.onnx")), Path(variants.__file__), Path(__file__)]
    for file in files:
        state.update(file.read_bytes())
    return state.digest()


def _save(found: Seen, place: Path) -> None:
    arrays: dict[str, np.ndarray] = {"mfcc": found.sound.mfcc}
    arrays["sound"] = np.array([found.sound.start, found.sound.loudest])
    arrays["tracks"] = np.array([[t.id, t.shot, t.start] for t in found.stretches]).reshape(-1, 3)
    for k, track in enumerate(found.stretches):
        for name in _PARTS:
            arrays[f"{name}{k}"] = getattr(track, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}.part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]  # numpy's stubs take a keyword for its own option
    os.replace(part, place)


def _load(place: Path) -> Seen:
    with np.load(place) as kept:
        start, loudest = (float(v) for v in kept["sound"])
        stretches = tuple(
            MouthTrack(int(number), int(shot), float(begin), **{name: kept[f"{name}{k}"] for name in _PARTS})
            for k, (number, shot, begin) in enumerate(kept["tracks"])
        )
        return Seen(SoundFeatures(start, kept["mfcc"], loudest), stretches)


_PARTS = ("crops", "boxes", "size", "yaw", "mouth_open", "seen")
