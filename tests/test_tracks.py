"""Tracks: one face through one shot, steady crops, bridged gaps; with a finder and follower that know the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.faces import Face
from syncnet.media import Frame
from syncnet.tracks import CROP, MouthTrack, mouth_tracks

Gray = NDArray[np.uint8]
Path = Callable[[int], tuple[float, float] | None]


def face_at(x: float, y: float, size: float = 40.0, roll: float = 0.0) -> Face:
    """A face whose mouth is at (x, y)."""
    box = (x - size, y - 1.5 * size, x + size, y + 0.7 * size)
    eyes = ((x - size / 2, y - size), (x + size / 2, y - size))
    return Face(box, 1.0, (x, y), eyes, (x, y - size / 2), size, roll, 0.0, 0.1)


@dataclass
class World:
    """What there is to see: mouths by frame number, and a counter that finder and follower read."""

    paths: list[Path]
    size: float = 40.0
    now: int = 0

    def faces(self) -> list[Face]:
        return [face_at(*at, self.size) for path in self.paths if (at := path(self.now)) is not None]

    def frames(self, count: int, cuts: tuple[int, ...] = (), start: float = 0.0) -> Iterator[Frame]:
        for n in range(count):
            self.now = n
            yield Frame(start + n / 25, self.picture(sum(n >= c for c in cuts)))

    def picture(self, shot: int) -> Gray:
        """A background of its own for each shot, a bright dot at each mouth."""
        rng = np.random.default_rng(shot)
        picture = np.kron(rng.integers(40, 120, (6, 8)), np.ones((40, 40))).astype(np.uint8)
        for face in self.faces():
            x, y = (round(v) for v in face.mouth)
            picture[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 255
        return picture


class Finder:
    """Finds every face there is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls = 0

    def locate(self, luma: Gray) -> list[Face]:
        self.calls += 1
        return self.world.faces()


class Follower:
    """Follows a face to the nearest one that is there, if one is near."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, luma: Gray, face: Face) -> Face | None:
        near = [f for f in self.world.faces() if np.hypot(f.mouth[0] - face.mouth[0], f.mouth[1] - face.mouth[1]) < 30]
        return near[0] if near else None


def tracked(world: World, count: int, cuts: tuple[int, ...] = (), **options: float) -> list[MouthTrack]:
    finder, follower = Finder(world), Follower(world)
    frames = world.frames(count, cuts)
    return list(mouth_tracks(frames, finder=finder, follower=follower, **options))  # type: ignore[arg-type]


def still(x: float, y: float) -> Path:
    return lambda n: (x, y)


def test_a_face_is_one_track_with_the_mouth_in_the_middle() -> None:
    (track,) = tracked(World([still(160, 120)]), 60)
    assert track.crops.shape == (60, CROP, CROP) and track.crops.dtype == np.uint8
    assert track.start == 0.0 and track.end == pytest.approx(2.4)
    middle = np.argwhere(track.crops[30] > 200).mean(axis=0)
    assert middle == pytest.approx([55, 55], abs=1.5)
    assert track.seen.all() and track.size == pytest.approx(40.0)


def test_no_track_crosses_a_cut() -> None:
    told: list[float] = []
    world = World([still(160, 120)])
    finder, follower = Finder(world), Follower(world)
    frames = world.frames(90, (30, 60))
    tracks = list(mouth_tracks(frames, finder=finder, follower=follower, on_cut=told.append))  # type: ignore[arg-type]
    assert [(t.shot, round(t.start * 25), len(t.crops)) for t in tracks] == [(0, 0, 30), (1, 30, 30), (2, 60, 30)]
    assert len({t.id for t in tracks}) == 3
    assert told == pytest.approx([0.0, 1.2, 2.4])


def test_several_faces_are_several_tracks() -> None:
    tracks = tracked(World([still(80, 120), still(240, 120)]), 40)
    assert sorted(round(float(t.boxes[0, [0, 2]].mean())) for t in tracks) == [80, 240]


def test_a_brief_occlusion_is_bridged_in_a_straight_line() -> None:
    world = World([lambda n: None if 30 <= n < 38 else (100 + n, 120)])
    (track,) = tracked(world, 80)
    assert len(track.crops) == 80
    assert np.flatnonzero(~track.seen).tolist() == list(range(30, 38))
    assert track.boxes[:, [0, 2]].mean(axis=1) == pytest.approx(100 + np.arange(80), abs=1e-3)


def test_a_face_that_leaves_ends_its_track_when_last_seen() -> None:
    world = World([lambda n: (160, 120) if n < 40 or n >= 90 else None])
    tracks = tracked(world, 140)
    first = tracks[0]
    assert (round(first.start * 25), len(first.crops)) == (0, 40)
    assert 90 <= round(tracks[1].start * 25) <= 102 and tracks[1].id != tracks[0].id


def test_a_long_take_comes_in_pieces_that_join_without_a_seam() -> None:
    path = World([lambda n: (150 + 20 * np.sin(n / 20), 120 + 5 * np.cos(n / 15))])
    whole = tracked(path, 200)
    pieces = tracked(path, 200, piece_s=2.0)
    assert [len(p.crops) for p in pieces] == [50, 50, 50, 50] and len(whole) == 1
    assert np.array_equal(np.concatenate([p.crops for p in pieces]), whole[0].crops)
    assert [p.start for p in pieces] == pytest.approx([0.0, 2.0, 4.0, 6.0])
    assert len({p.id for p in pieces}) == 1


def test_the_finder_rests_while_a_face_is_well_followed() -> None:
    world = World([still(160, 120)])
    finder = Finder(world)
    list(mouth_tracks(world.frames(500), finder=finder, follower=Follower(world)))  # type: ignore[arg-type]
    assert finder.calls <= 11


def test_crops_do_not_follow_the_lips_but_the_head() -> None:
    """A mouth that jerks for single frames moves within the crop: the crop's path is a running median."""
    jerk = World([lambda n: (160, 120 + 8 * (n % 10 == 5))])
    (track,) = tracked(jerk, 60)
    rows = [np.argwhere(c > 200)[:, 0].mean() for c in track.crops]
    moved = 8 * CROP / (1.25 * 40)
    assert rows[25] - rows[24] == pytest.approx(moved, abs=1.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 319), st.integers(0, 239), st.sampled_from([12.0, 40.0, 90.0]))
def test_a_face_at_any_place_gives_whole_crops(x: int, y: int, size: float) -> None:
    for track in tracked(World([still(x, y)], size), 15):
        assert track.crops.shape == (15, CROP, CROP)


def test_short_appearances_are_dropped() -> None:
    assert tracked(World([lambda n: (160, 120) if n < 8 else None]), 60) == []


def test_a_larger_crop_has_the_same_scale_in_its_middle() -> None:
    world = World([lambda n: (150 + n / 5, 120)])
    (small,), (large,) = tracked(world, 40), tracked(world, 40, crop=128)
    inner = large.crops[:, 8:119, 8:119].astype(int)
    assert np.abs(inner[20] - small.crops[20]).mean() < 12  # half a pixel apart, on coarse blocks
