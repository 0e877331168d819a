"""Whose faces they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from face_drawing import Face, Mouth, Pose
from face_layers import make_look
from syncnet.people import Portrait, as_people, letters, looks, portrait_pictures, square, unlike


@dataclass(frozen=True)
class Track:
    id: int
    shot: int
    start_s: float
    end_s: float


HERE = np.tile(np.array([10, 10, 50, 60], np.float32), (25, 1))
THERE = HERE + np.array([100, 0, 100, 0], np.float32)
PORTRAIT = Portrait(0.0, (10.0, 10.0, 50.0, 60.0), 1.0)


def names(tracks: list[Track], boxes: list[np.ndarray]) -> list[str]:
    _, found = as_people(tracks, dict(enumerate(boxes)), {t.id: PORTRAIT for t in tracks})
    return [found[t.id] for t in tracks]


def test_letters() -> None:
    assert [letters(n) for n in (0, 25, 26, 27, 26 * 27)] == ["A", "Z", "AA", "AB", "AAA"]
    assert len({letters(n) for n in range(1000)}) == 1000


def test_a_face_found_again_in_its_place_is_the_same_person() -> None:
    tracks = [Track(0, 0, 0.0, 1.0), Track(1, 0, 1.5, 2.5)]
    assert names(tracks, [HERE, HERE]) == ["A", "A"]
    assert names(tracks, [HERE, THERE]) == ["A", "B"]
    assert names([Track(0, 0, 0.0, 1.0), Track(1, 0, 3.5, 4.5)], [HERE, HERE]) == ["A", "B"]  # too long away
    assert names([Track(0, 0, 0.0, 1.0), Track(1, 1, 1.0, 2.0)], [HERE, HERE]) == ["A", "B"]  # another shot
    assert names([Track(0, 0, 0.0, 1.0), Track(1, 0, 0.5, 1.5)], [HERE, HERE]) == ["A", "B"]  # at the same time


def test_the_best_portrait_stands_for_a_person() -> None:
    better = Portrait(2.0, (10.0, 10.0, 60.0, 70.0), 9.0)
    tracks = [Track(0, 0, 0.0, 1.0), Track(1, 0, 1.5, 2.5)]
    people, _ = as_people(tracks, {0: HERE, 1: HERE}, {0: PORTRAIT, 1: better})
    assert len(people) == 1
    assert people[0].portrait == better
    assert people[0].tracks == (0, 1)


def test_a_square_is_cut_where_it_says() -> None:
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[30:50, 60:80] = 255
    cut = square(picture, (60.0, 30.0, 80.0, 50.0), 2.0, 80)  # twice the box, two pixels for one
    bright = cut[..., 0] > 127
    assert cut.shape == (80, 80, 3)
    assert bright[21:59, 21:59].all()
    assert not bright[:19].any() and not bright[:, 61:].any()


@pytest.mark.parametrize("side", [10, 40, 200])
def test_a_square_beyond_the_edges_repeats_them(side: int) -> None:
    picture = np.full((50, 60, 3), 77, np.uint8)
    assert (square(picture, (-30.0, -30.0, 10.0, 10.0), 1.5, side) == 77).all()


def portrait(seed: int) -> np.ndarray:
    face = Face(make_look(seed), 160, 160, (80.0, 75.0), 45.0)
    return np.ascontiguousarray(face.draw(Mouth(), Pose(), 0)[..., ::-1])


def test_the_same_drawn_person_looks_alike_another_does_not() -> None:
    seen = [looks(portrait(seed)) for seed in range(6)]
    again = looks(np.clip(portrait(0).astype(int) + 6, 0, 255).astype(np.uint8))
    others = [unlike(seen[0], other) for other in seen[1:]]
    assert unlike(seen[0], seen[0]) == pytest.approx(0.0, abs=1e-5)
    assert unlike(seen[0], again) < min(others)
    assert min(others) >= 0.0 and max(others) <= 1.0


def test_no_portraits_no_reading(tmp_path: Path) -> None:
    assert portrait_pictures(tmp_path / "none.mp4", {}) == {}
