"""Whose faces they are: tracks of one person under one name, by place within a shot and by looks across shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.colour import Bgr, bgr
from syncnet.faces import Box, overlap
from syncnet.pictures import FPS, decoded_on_grid

THUMBNAIL = 128
"""Pixels on a side of a thumbnail."""

_HEAD = 1.7  # side of a thumbnail over the longer side of the face's box: hair and shoulders help to tell people apart
_GAP_S = 2.0  # a face lost and found again in its place within this time is the same one
_SAME_PLACE = 0.4  # overlap of boxes that is the same place
_ALIKE = 0.24  # difference of looks under which two faces of different shots are taken for one person
_BANDS = 3  # horizontal bands of a portrait with a histogram of colours each: hair, face, clothes
_BINS = (12, 6, 4)  # of hue, saturation, value

Looks = tuple[NDArray[np.float32], NDArray[np.float32]]


class Seen(Protocol):
    """What is needed of a face track."""

    @property
    def id(self) -> int: ...
    @property
    def shot(self) -> int: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@dataclass(frozen=True)
class Portrait:
    """Where a face is seen best: presentation time in seconds, its box in pixels, and how well (pixels)."""

    time_s: float
    box: Box
    merit: float


@dataclass(frozen=True)
class Person:
    """One person: a name (A first, in order of appearance), the ids of the face tracks, and the best view of them."""

    name: str
    tracks: tuple[int, ...]
    portrait: Portrait


def as_people(
    tracks: Sequence[Seen],
    boxes: Mapping[int, NDArray[np.float32]],
    portraits: Mapping[int, Portrait],
    look_in: str | PathLike[str] | None = None,
) -> tuple[tuple[Person, ...], dict[int, str]]:
    """Group face tracks into people: the people, and the name for each track id.

    Within a shot a face that is lost and found again in its place stays one person. Across shots tracks are joined only
    when `look_in` names the file to look at, and only where their looks (colours of hair, face and clothes, and a small
    picture of the face) are very alike and they are never seen at the same time. boxes `(T, 4)` and portraits by id.
    """
    ordered = sorted(tracks, key=lambda t: (t.start_s, t.id))
    groups: list[list[Seen]] = []
    for track in ordered:
        group = next((g for g in groups if _goes_on(g[-1], track, boxes)), None)
        if group:
            group.append(track)
        else:
            groups.append([track])
    if look_in is not None and len(groups) > 1:
        groups = _joined_by_looks(groups, portraits, look_in)
    people, names = [], {}
    for number, group in enumerate(groups):
        best = max((portraits[t.id] for t in group), key=lambda p: p.merit)
        person = Person(letters(number), tuple(t.id for t in group), best)
        people.append(person)
        names.update({t.id: person.name for t in group})
    return tuple(people), names


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ..."""
    name = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _goes_on(before: Seen, track: Seen, boxes: Mapping[int, NDArray[np.float32]]) -> bool:
    """Whether a track takes up, in the same shot and place, where another ended."""
    gap = track.start_s - before.end_s
    if before.shot != track.shot or not -1e-6 <= gap <= _GAP_S:
        return False
    return overlap(box_of(boxes[before.id][-1]), box_of(boxes[track.id][0])) > _SAME_PLACE


def box_of(row: NDArray[np.float32]) -> Box:
    """A row of boxes as four floats."""
    x0, y0, x1, y1 = (float(v) for v in row)
    return x0, y0, x1, y1


def _joined_by_looks(
    groups: list[list[Seen]], portraits: Mapping[int, Portrait], path: str | PathLike[str]
) -> list[list[Seen]]:
    """Join the most alike pair of groups again and again (complete linkage), as long as it is alike enough."""
    pictures = portrait_pictures(path, portraits)
    seen = {track: looks(picture) for track, picture in pictures.items()}
    groups = [list(g) for g in groups]
    while True:
        pairs = [
            (_farthest(a, b, seen), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups[:i])
            if not _together(a, b)
        ]
        least, i, j = min(pairs, default=(1.0, 0, 0))
        if least >= _ALIKE:
            return sorted(groups, key=lambda g: (g[0].start_s, g[0].id))
        groups[j] = sorted(groups[j] + groups[i], key=lambda t: (t.start_s, t.id))
        del groups[i]


def _farthest(a: list[Seen], b: list[Seen], seen: Mapping[int, Looks]) -> float:
    return max((unlike(seen[x.id], seen[y.id]) for x in a for y in b if x.id in seen and y.id in seen), default=1.0)


def _together(a: list[Seen], b: list[Seen]) -> bool:
    return any(x.start_s < y.end_s and y.start_s < x.end_s for x in a for y in b)


def looks(picture: Bgr) -> Looks:
    """What a portrait `(S, S, 3)` looks like: histograms of colours of its bands, `(3 * 288,)`, and its small grey
    middle of zero mean and unit length, `(576,)`."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    ranges = [0, 180, 0, 256, 0, 256]
    bands = [
        cv2.calcHist([np.ascontiguousarray(band)], [0, 1, 2], None, list(_BINS), ranges).reshape(-1)
        for band in np.array_split(hsv, _BANDS)
    ]
    colours = np.concatenate([b / max(float(b.sum()), 1.0) for b in bands]).astype(np.float32) / _BANDS
    edge = int(picture.shape[0] * (1 - 1 / _HEAD) / 2)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[edge : -edge or None, edge : -edge or None]
    small = cv2.resize(grey, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1)
    small -= small.mean()
    return np.asarray(colours, np.float32), np.asarray(small / (np.linalg.norm(small) + 1e-6), np.float32)


def unlike(a: Looks, b: Looks) -> float:
    """How different two portraits look: 0 the same, 1 nothing in common."""
    colours = 1.0 - float(np.minimum(a[0], b[0]).sum())
    face = 1.0 - max(0.0, float(a[1] @ b[1]))
    return 0.5 * (colours + face)


def portrait_pictures(path: str | PathLike[str], portraits: Mapping[int, Portrait]) -> dict[int, Bgr]:
    """Cut the portraits out of a file in one pass: `(128, 128, 3)` uint8, blue first, by the keys given."""
    waiting = sorted(portraits.items(), key=lambda item: item[1].time_s)
    cut: dict[int, Bgr] = {}
    if not waiting:
        return cut
    for time, frame in decoded_on_grid(path):
        if waiting and time > waiting[0][1].time_s - 0.5 / FPS:
            picture = bgr(frame)
            while waiting and time > waiting[0][1].time_s - 0.5 / FPS:
                key, portrait = waiting.pop(0)
                cut[key] = square(picture, portrait.box, _HEAD, THUMBNAIL)
        if not waiting:
            break
    return cut


def square(picture: Bgr, box: Box, room: float, side: int) -> Bgr:
    """The square about a box, `room` times its longer side wide, as `(side, side, 3)`; edges repeat outside."""
    x0, y0, x1, y1 = box
    width = max(room * max(x1 - x0, y1 - y0), 2.0)
    scale = width / side
    left, top = (x0 + x1 - width) / 2, (y0 + y1 - width) / 2
    if scale > 1.5:  # shrink by averaging first: plain bilinear sampling would alias
        a, b = max(0, int(top)), max(0, int(left))
        part = picture[a : max(a + 1, int(top + width) + 1), b : max(b + 1, int(left + width) + 1)]
        fewer = (max(1, round(part.shape[1] / scale)), max(1, round(part.shape[0] / scale)))
        shrunk = cv2.resize(part, fewer, interpolation=cv2.INTER_AREA)
        sx, sy = part.shape[1] / fewer[0], part.shape[0] / fewer[1]
        picture, left, top = np.asarray(shrunk, np.uint8), (left - b) / sx, (top - a) / sy
        scale_x, scale_y = scale / sx, scale / sy
    else:
        scale_x = scale_y = scale
    to_picture = np.array([[scale_x, 0, left + scale_x / 2 - 0.5], [0, scale_y, top + scale_y / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(picture, to_picture, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)
