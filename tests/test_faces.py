"""Faces on drawn people (examples/), geometry by hand and by property, real faces where the shared corpus is."""

from __future__ import annotations

import csv
import hashlib
import importlib
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from syncnet.cascade import cut, overlaps, suppress
from syncnet.faces import FaceFinder, FaceFollower, face_from_mesh, face_size, overlap
from syncnet.media import frames

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("SYNCNET_SHARED", ROOT.parent / "shared"))
WEIGHTS = ROOT / "src" / "syncnet" / "weights" / "faces"
Gray = NDArray[np.uint8]
SEEDS = (0, 1, 2, 3, 4, 5)


@cache
def drawing() -> Any:
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        return importlib.import_module("face_drawing"), importlib.import_module("face_layers")
    finally:
        sys.path.remove(str(ROOT / "examples"))


@cache
def person(seed: int, width: int = 360, height: int = 300, face_width: float = 130) -> Any:
    draw, layers = drawing()
    return draw.Face(layers.make_look(seed), width, height, (width / 2, 0.45 * height), face_width / 2)


def picture(seed: int, *, jaw: float = 0.0, gap: float = 0.0, yaw: float = 0.0, **size: float) -> Gray:
    """A drawn person as a luma plane, limited range."""
    draw, _ = drawing()
    rgb = person(seed, **size).draw(draw.Mouth(jaw=jaw, gap=gap), draw.Pose(yaw=yaw))
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float64)
    return np.rint(gray * (219 / 255) + 16).astype(np.uint8)


def turned(luma: Gray, angle: float, about: tuple[float, float]) -> Gray:
    """The picture turned so that a level face gets `angle` (radians) of roll."""
    matrix = cv2.getRotationMatrix2D(about, -float(np.degrees(angle)), 1.0)
    warped = cv2.warpAffine(luma, matrix, luma.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def follower() -> FaceFollower:
    return FaceFollower()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drawn_face_is_found_once_and_measured(seed: int, finder: FaceFinder) -> None:
    (face,) = finder.locate(picture(seed))
    _, layers = drawing()
    truth = np.array([180, 135 + layers.MOUTH_Y * 65])
    assert np.hypot(*(np.array(face.mouth) - truth)) < 0.15 * face.size
    (left, right), nose = face.eyes, face.nose
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < face.mouth[1] < face.box[3]
    assert face.box[0] < left[0] and right[0] < face.box[2] and face.box[1] < left[1]
    assert 0.45 < face.size / 130 < 0.85
    assert abs(face.roll) < 0.06 and abs(face.yaw) < 12


@pytest.mark.parametrize("face_width", [52, 80, 300])
def test_small_and_large_faces_measure_alike(face_width: int, finder: FaceFinder) -> None:
    wide = finder.locate(picture(1))[0]
    (face,) = finder.locate(picture(1, width=3 * face_width, height=3 * face_width, face_width=face_width))
    assert face.size / face_width == pytest.approx(wide.size / 130, rel=0.08)


def test_two_people_are_two_faces(finder: FaceFinder) -> None:
    faces = finder.locate(np.hstack([picture(1), picture(2)]))
    assert sorted(round(face.mouth[0] / 360 - 0.5) for face in faces) == [0, 1]


def test_the_mouth_opens_and_the_size_stays(finder: FaceFinder, follower: FaceFollower) -> None:
    shut = finder.locate(picture(1))[0]
    wide = follower(picture(1, jaw=0.22, gap=0.3), shut)
    assert wide is not None
    assert wide.mouth_open > shut.mouth_open + 0.1
    assert wide.size == pytest.approx(shut.size, rel=0.05)


@pytest.mark.parametrize("degrees", [-35, -15, 20, 40])
def test_roll_is_measured_and_moves_nothing_else(degrees: int, finder: FaceFinder) -> None:
    level = finder.locate(picture(2))[0]
    middle = ((level.box[0] + level.box[2]) / 2, (level.box[1] + level.box[3]) / 2)
    angle = float(np.radians(degrees))
    (face,) = finder.locate(turned(picture(2), angle, middle))
    assert face.roll == pytest.approx(level.roll + angle, abs=0.05)
    assert face.size == pytest.approx(level.size, rel=0.05)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mouth = turn @ (np.array(level.mouth) - middle) + middle
    assert np.hypot(*(mouth - face.mouth)) < 0.06 * face.size


def test_yaw_has_the_sign_of_where_the_face_looks(finder: FaceFinder) -> None:
    left, right = (finder.locate(picture(3, yaw=yaw))[0] for yaw in (-0.4, 0.4))
    if left.nose[0] > right.nose[0]:
        left, right = right, left
    assert left.yaw < -4 and right.yaw > 4


def test_the_follower_catches_up_and_gives_up(finder: FaceFinder, follower: FaceFollower) -> None:
    luma = picture(4)
    face = finder.locate(luma)[0]
    width = face.box[2] - face.box[0]
    x0, y0, x1, y1 = face.box
    step = 0.3 * width
    astray = replace(face, box=(x0 + step, y0 - step, x1 + step, y1 - step))
    for _ in range(3):
        caught = follower(luma, astray)
        assert caught is not None
        astray = caught
    assert overlap(astray.box, face.box) > 0.9
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(16, 236, luma.shape, dtype=np.uint8), (0, 0), 4)
    assert follower(np.asarray(noise, np.uint8), face) is None
    assert follower(np.full_like(luma, 100), face) is None
    assert follower(luma, replace(face, box=(5000.0, 5000.0, 5100.0, 5100.0))) is None


@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (33, 17), (1, 700), (39, 41), (61, 2160)])
def test_pictures_of_odd_size_hold_no_face(shape: tuple[int, int], finder: FaceFinder) -> None:
    rng = np.random.default_rng(1)
    assert finder.locate(rng.integers(16, 236, shape, dtype=np.uint8)) == []


def test_big_pictures_are_searched_at_a_smaller_size(finder: FaceFinder) -> None:
    small = picture(5)
    big = np.full((2160, 4096), 90, np.uint8)
    big[200 : 200 + 1500, 1000 : 1000 + 1800] = cv2.resize(small, (1800, 1500), interpolation=cv2.INTER_CUBIC)
    (face,) = finder.locate(big)
    assert face.size == pytest.approx(5 * finder.locate(small)[0].size, rel=0.05)
    assert big.size > 4 * 1280 * 720


def test_finding_and_following_repeat_exactly(finder: FaceFinder) -> None:
    assert finder.locate(picture(0)) == FaceFinder().locate(picture(0))


def test_an_impossible_smallest_face_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20 pixels, not 5"):
        FaceFinder(min_face=5)


def test_every_network_is_the_one_its_licence_file_names() -> None:
    notices = "".join(path.read_text() for path in WEIGHTS.glob("*.LICENCE.txt"))
    networks = sorted(WEIGHTS.glob("*.onnx"))
    assert [path.stem for path in networks] == ["face_landmark", "mtcnn_onet", "mtcnn_pnet", "mtcnn_rnet"]
    for path in networks:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in notices


# Geometry


@cache
def mesh_of_a_face() -> NDArray[np.float32]:
    luma = picture(1)
    return FaceFollower().mesh(luma, FaceFinder().locate(luma)[0])[0]


@settings(max_examples=40, deadline=None)
@given(st.floats(-1.2, 1.2), st.floats(0.2, 5), st.floats(-300, 300), st.floats(-300, 300))
def test_a_face_moves_turns_and_grows_with_its_mesh(angle: float, scale: float, x: float, y: float) -> None:
    mesh = mesh_of_a_face()
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    before = face_from_mesh(mesh, 1.0)
    after = face_from_mesh((scale * mesh @ turn.T + [x, y, 0]).astype(np.float32), 1.0)
    assert after.size == pytest.approx(scale * before.size, rel=1e-4)
    assert after.roll == pytest.approx(before.roll + angle, abs=1e-4)
    assert after.yaw == pytest.approx(before.yaw, abs=0.01)
    assert after.mouth_open == pytest.approx(before.mouth_open, abs=1e-3)
    extent = np.subtract(before.box[2:], before.box[:2])
    np.testing.assert_allclose(np.subtract(after.box[2:], after.box[:2]), scale * extent, rtol=1e-3)
    mouth = scale * turn[:2, :2] @ before.mouth + [x, y]
    np.testing.assert_allclose(after.mouth, mouth, atol=0.02)


@settings(max_examples=30, deadline=None)
@given(st.floats(-1.0, 1.0), st.floats(-0.5, 0.5))
def test_size_is_a_length_in_space(yaw: float, pitch: float) -> None:
    mesh = mesh_of_a_face().astype(np.float64)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    assert face_size((mesh @ about_y @ about_x).astype(np.float32)) == pytest.approx(
        face_size(mesh.astype(np.float32)), rel=1e-4
    )


def corners(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (N, 5) from any numbers (N, 5)."""
    low, extent = values[:, :2], np.abs(values[:, 2:4]) + 1
    return np.hstack([low, low + extent, values[:, 4:]])


some_boxes = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(5)), elements=st.floats(-50, 50)).map(corners)


@settings(max_examples=60, deadline=None)
@given(some_boxes, st.floats(0, 1), st.booleans())
def test_what_is_suppressed_overlaps_something_surer(boxes: NDArray[np.float64], limit: float, smaller: bool) -> None:
    kept = suppress(boxes, limit, of_smaller=smaller)
    assert len(set(kept.tolist())) == len(kept) > 0
    assert (np.diff(boxes[kept, 4]) <= 0).all()
    for number, box in enumerate(boxes):
        surer = boxes[[k for k in kept if k != number and boxes[k, 4] >= box[4]]]
        shares = overlaps(box, surer, smaller)
        assert (shares >= 0).all() and (shares <= 1 + 1e-9).all()
        if number not in kept:
            assert (shares > limit - 1e-9).any()
    for one in kept:
        others = boxes[[k for k in kept if k != one]]
        assert (overlaps(boxes[one], others, smaller) <= limit).all()


def test_overlap_by_hand() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 10, 20, 20)) == 0
    inside = np.array([[2.0, 2, 4, 4]])
    assert overlaps(np.array([0.0, 0, 10, 10]), inside, of_smaller=True)[0] == 1


def test_cuts_are_black_outside_the_picture() -> None:
    gray = np.full((40, 60), 200, np.uint8)
    boxes = np.array([[-20, 10, 20, 50], [100, 100, 140, 140], [10, 5, 34, 29]], np.float32)
    first, second, third = cut(gray, boxes, 24)[:, 0]
    assert (first[:18, 12:] == 200).all() and (first[:, :12] == 0).all() and (first[18:] == 0).all()
    assert (second == 0).all()
    assert (third == 200).all()


# Real faces


def first_picture(path: Path) -> Gray:
    return next(frames(path)).luma


@pytest.mark.corpus
def test_real_faces_of_every_corpus_are_found_once(finder: FaceFinder) -> None:
    manifest = SHARED / "data" / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"no shared corpus at {manifest}")
    with manifest.open(newline="") as lines:
        clips = {row["corpus"]: row["file"] for row in csv.DictReader(lines) if row["split"] == "dev"}
    found = {corpus: finder.locate(first_picture(SHARED / "data" / file)) for corpus, file in clips.items()}
    assert len(found) >= 10
    assert max(len(faces) for faces in found.values()) == 1
    assert sum(len(faces) for faces in found.values()) >= 0.95 * len(found)
