"""Training shards on disk: mouth crops and sound as raw bytes beside one manifest, read through memory maps.

A shard folder holds `manifest.jsonl` (one clip per line), `NNNNN.frames` (uint8 crops, one after the other) and
`NNNNN.sound` (int16 mono 16 kHz). Nothing is loaded until it is asked for, so a corpus may be
larger than memory. A line may name another `folder` for its bytes, relative to the manifest's: what `syncnet refine`
cleaned points at the shards it was made from.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError

MANIFEST = "manifest.jsonl"
FPS = 25.0
SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Clip:
    """One face through one shot, with its sound. Times in seconds, frames at 25 fps.

    `sound_lead_s`: sound before the first frame (negative: the sound starts after it).
    `offset_ms`: the sound of the event seen at t lies at t + offset (positive: audio late); it is corrected on reading.
    """

    folder: Path
    key: str
    shard: str
    speaker: str
    corpus: str
    kind: str
    source: str
    track: int
    frames: int
    crops_at: int
    crop_size: int
    sound_at: int
    sound_samples: int
    sound_lead_s: float
    offset_ms: float = 0.0
    start_s: float = 0.0
    weight: float = 1.0

    @property
    def minutes(self) -> float:
        return self.frames / FPS / 60.0


_NEEDED = ("key", "shard", "speaker", "frames", "crops_at", "crop_size", "sound_at", "sound_samples", "sound_lead_s")


def read_manifest(folder: Path) -> list[Clip]:
    """Clips of one shard folder, in the order of the manifest. Raises InputError naming the line that is wrong."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no {MANIFEST}: give a folder made by `syncnet prepare`.")
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            clips.append(_clip(folder, json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: {error}. Run `syncnet prepare` again.") from error
    return clips


def read_manifests(folders: Iterable[Path]) -> list[Clip]:
    """Clips of several shard folders; raises InputError when there is none at all."""
    clips = [clip for folder in folders for clip in read_manifest(Path(folder))]
    if not clips:
        raise InputError("the shard folders hold no clips: look at the rejections that `syncnet prepare` reports.")
    return clips


def _clip(folder: Path, row: dict[str, Any]) -> Clip:
    missing = [name for name in _NEEDED if name not in row]
    if missing:
        raise ValueError(f"the manifest lacks {', '.join(missing)}")
    return Clip(
        folder=folder / str(row.get("folder", ".")), key=str(row["key"]), shard=str(row["shard"]),
        speaker=str(row["speaker"]), corpus=str(row.get("corpus", "")), kind=str(row.get("kind", "real")),
        source=str(row.get("source", "")), track=int(row.get("track", 0)), frames=int(row["frames"]),
        crops_at=int(row["crops_at"]), crop_size=int(row["crop_size"]), sound_at=int(row["sound_at"]),
        sound_samples=int(row["sound_samples"]), sound_lead_s=float(row["sound_lead_s"]),
        offset_ms=float(row.get("offset_ms") or 0.0), start_s=float(row.get("start_s") or 0.0),
        weight=float(row.get("weight", 1.0)),
    )


@lru_cache(maxsize=512)
def _mapped(path: Path, dtype: str) -> NDArray[Any]:
    try:
        return np.memmap(path, dtype=dtype, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); run `syncnet prepare` again.") from error


def read_crops(clip: Clip, first: int = 0, frames: int | None = None) -> NDArray[np.uint8]:
    """(T, S, S) uint8 crops of frames first ... first + T - 1, a view of the file."""
    frames = clip.frames - first if frames is None else frames
    if first < 0 or frames < 0 or first + frames > clip.frames:
        raise ValueError(f"frames {first} ... {first + frames} of a clip of {clip.frames}")
    area = clip.crop_size**2
    data = _mapped(clip.folder / f"{clip.shard}.frames", "uint8")
    start = (clip.crops_at + first) * area
    if start + frames * area > len(data):
        raise InputError(f"{clip.folder / clip.shard}.frames is shorter than its manifest says; prepare it again.")
    return data[start:start + frames * area].reshape(frames, clip.crop_size, clip.crop_size)


def read_sound(clip: Clip, first: int, samples: int) -> tuple[NDArray[np.float32], int, int]:
    """`samples` samples from index `first` of the clip's sound (may lie outside it).

    Returns ((samples,) float32 in [-1, 1], zero where there is no sound; first and one-past-last real sample).
    """
    out = np.zeros(samples, dtype=np.float32)
    low, high = max(first, 0), min(first + samples, clip.sound_samples)
    if high <= low:
        return out, 0, 0
    data = _mapped(clip.folder / f"{clip.shard}.sound", "int16")
    if clip.sound_at + high > len(data):
        raise InputError(f"{clip.folder / clip.shard}.sound is shorter than its manifest says; prepare it again.")
    stored = data[clip.sound_at + low:clip.sound_at + high]
    np.multiply(stored, np.float32(1 / 32768), out=out[low - first:high - first])
    return out, low - first, high - first
