"""Tracks and crops of the released pipeline, worked out by hand."""

import numpy as np
import pytest

from syncnet.face_tracks import Box, FaceTrack, crop_face, crop_squares, overlap, track_shot

LEFT: Box = (100.0, 100.0, 220.0, 240.0)
RIGHT: Box = (400.0, 100.0, 540.0, 260.0)


def moved(box: Box, by: float) -> Box:
    return box[0] + by, box[1], box[2] + by, box[3]


def test_overlap_by_hand() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


def test_two_faces_make_two_tracks() -> None:
    tracks = track_shot([[moved(LEFT, k), RIGHT] for k in range(20)], first=50, min_track=10)
    assert [(t.first, t.last) for t in tracks] == [(50, 69), (50, 69)]
    np.testing.assert_array_equal(tracks[0].boxes[:, 0], 100 + np.arange(20))
    np.testing.assert_array_equal(tracks[1].boxes, np.tile(RIGHT, (20, 1)))


def test_a_track_needs_more_than_min_track_detections() -> None:
    assert track_shot([[LEFT]] * 10, first=0, min_track=10) == []
    assert len(track_shot([[LEFT]] * 11, first=0, min_track=10)) == 1
    with_gap: list[list[Box]] = [[LEFT], [], *[[LEFT]] * 9]  # 11 frames but ten detections
    assert track_shot(with_gap, first=0, min_track=10) == []


def test_gaps_up_to_25_frames_are_bridged_by_straight_lines() -> None:
    def shot(gap: int) -> list[list[Box]]:
        return [[LEFT]] * 12 + [[]] * (gap - 1) + [[moved(LEFT, 10)]] * 12

    (track,) = track_shot(shot(25), first=0, min_track=20)
    assert len(track.boxes) == 12 + 24 + 12
    np.testing.assert_allclose(track.boxes[11:37, 0], 100 + 10 * np.arange(26) / 25)
    assert track_shot(shot(26), first=0, min_track=20) == []
    assert len(track_shot(shot(26), first=0, min_track=11)) == 2


def test_a_jump_of_half_the_overlap_ends_a_track() -> None:
    shot: list[list[Box]] = [[LEFT]] * 12 + [[moved(LEFT, 50)]] * 12  # overlap 70 / 170
    tracks = track_shot(shot, first=0, min_track=11)
    assert [(t.first, t.last) for t in tracks] == [(0, 11), (12, 23)]


def test_small_faces_are_left_out_by_the_mean_of_the_longer_side() -> None:
    small: Box = (0.0, 0.0, 80.0, 100.0)
    assert track_shot([[small]] * 20, first=0, min_track=10) == []
    assert len(track_shot([[(0.0, 0.0, 80.0, 100.5)]] * 20, first=0, min_track=10)) == 1
    assert len(track_shot([[small]] * 20, first=0, min_track=10, min_face=60)) == 1


def test_short_shots_are_left_out() -> None:
    assert track_shot([[LEFT]] * 9, first=0, min_track=10) == []


def test_the_box_behind_a_taken_one_is_passed_over_as_released() -> None:
    # Both boxes of every frame lie over each other. Without the quirk the first round would take both in each frame.
    twin = moved(LEFT, 1)
    tracks = track_shot([[LEFT, twin]] * 15, first=0, min_track=10)
    assert [t.boxes[0, 0] for t in tracks] == [100.0, 101.0]
    assert [len(t.boxes) for t in tracks] == [15, 15]


def test_the_square_of_a_still_face_by_hand() -> None:
    track = FaceTrack(0, np.tile((100.0, 100.0, 220.0, 240.0), (20, 1)))
    # s = 70, centre (160, 170): x 160 +- 98, y 170 - 70 ... 170 + 126, a side of 196 = 2.8 s
    squares = crop_squares(track)
    np.testing.assert_array_equal(squares, np.tile((62, 100, 258, 296), (20, 1)))


def test_numbers_are_cut_down_in_the_widened_picture() -> None:
    track = FaceTrack(0, np.tile((0.0, 0.0, 101.0, 101.0), (13, 1)))
    # s = 50.5, centre 50.5; margin int(90.9) = 90; left int(50.5 + 90 - 70.7) - 90 = 69 - 90; top int(90.0) - 90;
    # right int(211.2) - 90; bottom int(231.4) - 90
    np.testing.assert_array_equal(crop_squares(track)[6], (-21, 0, 121, 141))


def test_a_jitter_is_smoothed_away() -> None:
    boxes = np.tile((100.0, 100.0, 220.0, 240.0), (30, 1))
    boxes[15] += 30
    assert len(np.unique(crop_squares(FaceTrack(0, boxes)), axis=0)) == 1


def test_past_the_edge_the_picture_is_grey() -> None:
    picture = np.full((100, 100, 3), 200, np.uint8)
    face = crop_face(picture, np.array([-112, -112, 112, 112]))
    assert face.shape == (224, 224, 3)
    assert (face[:112] == 110).all() and (face[:, :112] == 110).all()
    assert (face[112:212, 112:212] == 200).all()
    assert (face[212:] == 110).all()
    assert (crop_face(picture, np.array([500, 500, 700, 700])) == 110).all()


def test_the_crop_equals_padding_the_whole_picture() -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    boxes = np.tile((-10.3, 30.2, 120.8, 190.6), (15, 1))
    half, x, y = 80.2, 55.25, 110.4
    margin = int(half * 1.8)
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=110)
    my, mx = y + margin, x + margin
    cut = padded[int(my - half) : int(my + half * 1.8), int(mx - half * 1.4) : int(mx + half * 1.4)]
    mine = crop_face(picture, crop_squares(FaceTrack(0, boxes))[7])
    np.testing.assert_array_equal(mine, cv2.resize(cut, (224, 224)))
