"""One face through one shot: frames in, steady mouth crops out, 111 x 111 grey at 25 frames a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.crop_roll import CropRoll
from syncnet.faces import Face, FaceFinder, FaceFollower, overlap
from syncnet.media import FPS, Frame
from syncnet.shots import ShotDetector

CROP = 111
"""Pixels on a side of a mouth crop, as in "Out of time" (Chung & Zisserman 2016)."""

CROP_SIDE = 1.25
"""Side of the mouth crop in units of the face's size (the distance between the outer corners of the eyes)."""

PIECE_S = 60.0
"""Longest stretch of a track handed on at once, in seconds: what bounds memory on a long take."""

_SMOOTH = 6  # frames on either side of the running median that steadies centre, size and roll (13 frames in all)
_BRIDGE = 12  # frames for which a face may hide (a hand, a microphone) before its track ends
_SEARCH = 12  # frames between searches for faces while none is followed or one is missing
_SEARCH_STEADY = 50  # frames between searches while every known face is well followed
_SAME = 0.3  # overlap (intersection over union) from which two boxes are the same face
_MIN_FRAMES = 10  # shorter tracks are dropped: 0.4 s hold only six windows


@dataclass(frozen=True)
class MouthTrack:
    """The mouth of one face through (a piece of) one shot.

    `start`: seconds of presentation time of `crops[0]`; frame k stands at `start + k / 25`. `crops`: `(T, S, S)` uint8,
    S = 111 unless asked otherwise, luma as decoded. `boxes`: `(T, 4)` float32, the face as x0, y0, x1, y1 in pixels of
    the upright picture. `size`: `(T,)` float32, outer-eye-corner distance in pixels; `yaw`: `(T,)` float32, degrees;
    `mouth_open`: `(T,)` float32, lip gap in units of size; `seen`: `(T,)` bool, False where the face was bridged.
    """

    id: int
    shot: int
    start: float
    crops: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    size: NDArray[np.float32]
    yaw: NDArray[np.float32]
    mouth_open: NDArray[np.float32]
    seen: NDArray[np.bool_]

    @property
    def end(self) -> float:
        """Seconds of presentation time just after the last frame."""
        return self.start + len(self.crops) / FPS

    @property
    def times(self) -> NDArray[np.float64]:
        """Presentation time of every frame in seconds, `(T,)`."""
        return self.start + np.arange(len(self.crops)) / FPS


def mouth_tracks(
    frames: Iterable[Frame],
    *,
    crop: int = CROP,
    side: float = CROP_SIDE,
    piece_s: float = PIECE_S,
    finder: FaceFinder | None = None,
    follower: FaceFollower | None = None,
    on_cut: Callable[[float], None] | None = None,
) -> Iterator[MouthTrack]:
    """Follow every face of a film from cut to cut and yield its mouth, each track (or minute of it) as it ends.

    Faces are searched for at the start of a shot and now and then, and followed on every frame. `crop`: pixels on a
    side; `side`: that side in units of face size; frames must come at 25 a second. `on_cut` is told when each shot
    starts. Memory is bounded by `piece_s` seconds of crops per face. Tracks shorter than 0.4 s are dropped. Raises what
    the frame source raises.
    """
    finder = finder or FaceFinder()
    follower = follower or FaceFollower()
    cut = ShotDetector()
    scene = _Scene(crop, side, int(piece_s * FPS), finder, follower)
    for frame in frames:
        if cut(frame.luma):
            if on_cut:
                on_cut(frame.time)
            yield from scene.cut()
        yield from scene.step(frame)
    yield from scene.cut()


@dataclass
class _Patch:
    """The part of a frame around a face that its crop will be taken from once the path is smooth."""

    pixels: NDArray[np.uint8]
    x: int
    y: int


@dataclass
class _Open:
    """A track being followed: path so far, patches not yet cropped, crops not yet handed on."""

    id: int
    shot: int
    start: float
    crops: CropRoll
    faces: list[Face] = field(default_factory=list)  # of frames `base`, base + 1, ... of the track
    seen: list[bool] = field(default_factory=list)
    patches: list[_Patch] = field(default_factory=list)
    base: int = 0
    handed: int = 0  # frames already handed on in earlier pieces
    missing: int = 0

    @property
    def face(self) -> Face:
        return self.faces[-1]


class _Scene:
    """All faces of the running shot."""

    def __init__(self, crop: int, side: float, piece: int, finder: FaceFinder, follower: FaceFollower) -> None:
        self._crop, self._side, self._piece = crop, side, piece
        self._finder, self._follower = finder, follower
        self._open: list[_Open] = []
        self._shot = -1
        self._next_id = 0
        self._since_search = _SEARCH_STEADY

    def cut(self) -> Iterator[MouthTrack]:
        """End every track: the shot is over."""
        ended, self._open = self._open, []
        self._shot += 1
        self._since_search = _SEARCH_STEADY
        for track in ended:
            yield from self._finish(track)

    def step(self, frame: Frame) -> Iterator[MouthTrack]:
        """Follow all known faces into this frame, look for new ones when due, hand on what is complete."""
        for track in self._open:
            face = self._follower(frame.luma, track.face)
            self._extend(track, face, frame.luma)
        self._since_search += 1
        steady = self._open and not any(t.missing for t in self._open)
        if self._since_search >= (_SEARCH_STEADY if steady else _SEARCH):
            self._since_search = 0
            self._discover(frame)
        self._drop_doubles()
        for track in [t for t in self._open if t.missing > _BRIDGE]:
            self._open.remove(track)
            yield from self._finish(track)
        for track in self._open:
            self._cut_crops(track, self._settled(track) - _SMOOTH)
            if len(track.crops) >= self._piece:
                yield self._hand_on(track)

    def _extend(self, track: _Open, face: Face | None, luma: NDArray[np.uint8]) -> None:
        if face is None:
            track.missing += 1
            face = track.face
            track.seen.append(False)
        else:
            if track.missing:
                _bridge(track.faces, track.missing, face)
                track.missing = 0
            track.seen.append(True)
        track.faces.append(face)
        track.patches.append(_patch(luma, face, self._side * self._crop / CROP))

    def _discover(self, frame: Frame) -> None:
        for face in self._finder.locate(frame.luma):
            track = next((t for t in self._open if overlap(t.face.box, face.box) > _SAME), None)
            if track is None:
                track = _Open(self._next_id, self._shot, frame.time, CropRoll(self._crop))
                self._next_id += 1
                self._open.append(track)
                self._extend(track, face, frame.luma)
            elif track.missing:  # found again where the follower had lost it: replace this frame's guess
                track.faces.pop(), track.seen.pop(), track.patches.pop()
                track.missing -= 1
                self._extend(track, face, frame.luma)

    def _drop_doubles(self) -> None:
        """Of two tracks that have come to sit on one face keep the older."""
        kept: list[_Open] = []
        for track in self._open:
            if all(overlap(track.face.box, other.face.box) < 0.6 for other in kept):
                kept.append(track)
        self._open = kept

    def _settled(self, track: _Open) -> int:
        """Frames of the track (counted from its start) whose face is known for good."""
        return track.base + len(track.faces) - track.missing

    def _cut_crops(self, track: _Open, until: int) -> None:
        done = track.handed + len(track.crops)
        last = self._settled(track) - track.base
        for k in range(done - track.base, until - track.base):
            near = track.faces[max(0, k - _SMOOTH) : min(last, k + _SMOOTH + 1)]
            track.crops.append(mouth_crop(track.patches.pop(0), near, self._crop, self._side))

    def _finish(self, track: _Open) -> Iterator[MouthTrack]:
        self._cut_crops(track, self._settled(track))
        if len(track.crops) >= _MIN_FRAMES:
            yield self._hand_on(track)

    def _hand_on(self, track: _Open) -> MouthTrack:
        first = track.handed - track.base
        span = slice(first, first + len(track.crops))
        faces = track.faces[span]
        piece = MouthTrack(
            id=track.id,
            shot=track.shot,
            start=track.start + track.handed / FPS,
            crops=track.crops.take(),
            boxes=np.array([f.box for f in faces], np.float32),
            size=np.array([f.size for f in faces], np.float32),
            yaw=np.array([f.yaw for f in faces], np.float32),
            mouth_open=np.array([f.mouth_open for f in faces], np.float32),
            seen=np.array(track.seen[span], bool),
        )
        track.handed += len(piece.crops)
        past = max(0, track.handed - track.base - _SMOOTH)  # what the running median will not look back to
        del track.faces[:past], track.seen[:past]
        track.base += past
        return piece


def mouth_crop(patch: _Patch, near: list[Face], crop: int, side: float) -> NDArray[np.uint8]:
    """Cut the level, scale-normalised square around the mouth: `(crop, crop)` uint8.

    Centre, size and roll are medians over `near`, the face in the frames around this one: the crop does not follow the
    lips themselves, so their movement stays visible.
    """
    x, y = np.median([f.mouth for f in near], axis=0)
    size = float(np.median([f.size for f in near]))
    roll = float(np.median([f.roll for f in near]))
    scale = side * (crop / CROP) * size / crop  # picture pixels per crop pixel
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    half = (crop - 1) / 2
    x0 = x - patch.x - half * (cos - sin)
    y0 = y - patch.y - half * (sin + cos)
    to_picture = np.array([[cos, -sin, x0], [sin, cos, y0]])
    pixels = patch.pixels
    if scale > 1.5:  # shrink by averaging first: plain bilinear sampling would alias
        blur = 0.4 * scale
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), blur), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(pixels, to_picture, (crop, crop), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _patch(luma: NDArray[np.uint8], face: Face, side: float) -> _Patch:
    """Copy the surroundings of a mouth, wide enough for any roll and for the path to be smoothed."""
    reach = side * face.size * 1.1 + 4
    (x, y), (height, width) = face.mouth, luma.shape
    x0, x1 = (int(np.clip(v, 0, width)) for v in (x - reach, x + reach))
    y0, y1 = (int(np.clip(v, 0, height)) for v in (y - reach, y + reach))
    x0, y0 = min(x0, width - 1), min(y0, height - 1)
    return _Patch(luma[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].copy(), x0, y0)


def _bridge(faces: list[Face], missing: int, face: Face) -> None:
    """Replace the last `missing` guesses by a straight line from the last sure face to this one."""
    first = faces[-missing - 1]
    for k in range(missing):
        faces[k - missing] = _between(first, face, (k + 1) / (missing + 1))


def _between(a: Face, b: Face, share: float) -> Face:
    """The face `share` of the way from a to b."""

    def mix(p: float, q: float) -> float:
        return p + share * (q - p)

    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.box, b.box
    return replace(
        a,
        box=(mix(ax0, bx0), mix(ay0, by0), mix(ax1, bx1), mix(ay1, by1)),
        mouth=(mix(a.mouth[0], b.mouth[0]), mix(a.mouth[1], b.mouth[1])),
        size=mix(a.size, b.size),
        roll=mix(a.roll, b.roll),
        yaw=mix(a.yaw, b.yaw),
        mouth_open=mix(a.mouth_open, b.mouth_open),
    )
