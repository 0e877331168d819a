"""The clips that made scenes are composed of: eight seconds of one person each, followed once and kept on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np
from corpus import SHARED
from lr_asd import SIDE, face_square
from numpy.typing import NDArray

from syncnet.encoder import find_model
from syncnet.media import FPS, SAMPLE_RATE, Frame, frames, read_sound
from syncnet.model.held_out import is_held_out
from syncnet.tracks import MouthTrack, mouth_tracks

SECONDS = 8.0
FRAMES = round(SECONDS * FPS)
KEPT = Path(__file__).parents[1] / "runs" / "scene-clips"

_FIRST_S = 0.4  # what is skipped at the start of a clip, where the sound may still be silent


@dataclass(frozen=True)
class Cast:
    """Eight seconds of somebody who talks.

    `track`: mouth crops `(200, 111, 111)` and boxes, its start set to 0. `face`: `(200, 112, 112)` uint8, the picture
    that LR-ASD takes. `sound`: `(128000,)` float32 at 16 kHz, from the time of the first picture on.
    """

    name: str
    path: Path
    start_s: float
    track: MouthTrack
    face: NDArray[np.uint8]
    sound: NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """The rule by which a model's training left people out."""

    share: float
    salt: str

    @staticmethod
    def of(model: str) -> HeldOut:
        """The rule that a model was trained by, which stands in its description."""
        trained = find_model(model).description["trained"]
        return HeldOut(float(trained["held_out"]), str(trained["held_out_salt"]))


@dataclass(frozen=True)
class Row:
    """A line of the manifest."""

    name: str
    path: Path
    speaker: str
    kind: str
    corpus: str


def chosen(split: str, held_out: HeldOut | None = None, more: Sequence[Path] = ()) -> list[Row]:
    """One clip for every person of a split who is there for long enough, in `more` folders with a manifest.csv too.

    `held_out`: only the people whom a model trained with this rule has never learned from. None is left out for the
    natural offset of the clip: a frame or so is in every film, and the decision has to bear it.
    """
    people: dict[str, Row] = {}
    for folder in (SHARED / "data", *more):
        listed = folder / "manifest.csv"
        if not listed.is_file():
            raise SystemExit(f"no corpus: {listed} is missing (SYNCNET_SHARED names the folder that holds data/).")
        with listed.open(newline="") as file:
            for line in csv.DictReader(file):
                name = line["file"].removeprefix("clips/").rsplit(".", 1)[0]
                who = line["speaker"]
                fits = line["split"] == split and float(line["seconds"]) >= SECONDS + 2 * _FIRST_S
                if fits and (held_out is None or is_held_out(who, held_out.share, held_out.salt)):
                    people.setdefault(who, Row(name, folder / line["file"], who, line["kind"], line["corpus"]))
    return list(people.values())


@cache
def cast(row: Row) -> Cast | None:
    """Eight seconds of a clip, from disk if they were cut before; None where its face is not seen for so long."""
    kept = KEPT / f"{row.name.replace('/', '_')}.npz"
    if not kept.is_file():
        _cut(row, kept)
    with np.load(kept) as found:
        if "crops" not in found:
            return None
        parts = {key: found[key] for key in found.files}
    seen = np.ones(FRAMES, bool)
    track = MouthTrack(
        0, 0, 0.0, parts["crops"], parts["boxes"], parts["size"], parts["yaw"], parts["mouth_open"], seen
    )
    return Cast(row.name, row.path, float(parts["start"]), track, parts["face"], parts["sound"])


def _cut(row: Row, kept: Path) -> None:
    """Follow the face of a clip through its first nine seconds and keep eight of them, or the news that it failed."""
    pictures: list[Frame] = list(takewhile(lambda f: f.time < SECONDS + 1.5, frames(row.path)))
    first = pictures[0].time
    tracks = sorted(mouth_tracks(iter(pictures)), key=lambda t: -len(t.crops) * float(np.median(t.size)))
    values: dict[str, NDArray[np.generic]] = {"failed": np.array(True)}
    if tracks:
        track = tracks[0]
        skip = max(0, round((first + _FIRST_S - track.start) * FPS))
        part = slice(skip, skip + FRAMES)
        if len(track.crops) >= skip + FRAMES and track.seen[part].mean() > 0.95:
            start = track.start + skip / FPS
            values = {
                "start": np.array(start),
                "crops": track.crops[part],
                "boxes": track.boxes[part],
                "size": track.size[part],
                "yaw": track.yaw[part],
                "mouth_open": track.mouth_open[part],
                "face": _faces(pictures, track, skip, round((track.start - first) * FPS)),
                "sound": _sound(row.path, start),
            }
    kept.parent.mkdir(parents=True, exist_ok=True)
    part_file = kept.with_suffix(".part.npz")
    np.savez(part_file, **values)  # type: ignore[arg-type]
    part_file.rename(kept)


def _faces(pictures: list[Frame], track: MouthTrack, skip: int, begin: int) -> NDArray[np.uint8]:
    out = np.empty((FRAMES, SIDE, SIDE), np.uint8)
    for k in range(FRAMES):
        out[k] = face_square(pictures[begin + skip + k].luma, track.boxes, skip + k)
    return out


def _sound(path: Path, start: float) -> NDArray[np.float32]:
    sound = read_sound(path)
    at = round((start - sound.start) * SAMPLE_RATE)
    count = round(SECONDS * SAMPLE_RATE)
    out = np.zeros(count, np.float32)
    a, b = max(0, at), min(len(sound.samples), at + count)
    out[a - at : b - at] = sound.samples[a:b]
    return out


def cast_of(split: str, held_out: HeldOut | None = None, more: Sequence[Path] = ()) -> list[Cast]:
    """Everybody of a split (as `chosen` has it) who can be cast, in the order of the manifest."""
    cv2.setNumThreads(1)
    people = [cast(row) for row in chosen(split, held_out, more)]
    return [person for person in people if person is not None]
