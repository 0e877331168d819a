"""Average precision, F1, matching of boxes and of turns, worked out by hand; and the two file layouts."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncnet.errors import InputError
from syncnet.speaker_metrics import agreement, average_precision, matched_scores, overlaps, turn_agreement
from syncnet.speaker_truth import SPEAKING, FaceRow, Segment, ava_table, read_ava, read_rttm, rttm_lines

LEFT = (0.1, 0.2, 0.3, 0.6)
RIGHT = (0.6, 0.2, 0.8, 0.6)


def test_average_precision_by_hand() -> None:
    # Ranked: right, wrong, right, wrong, right. Precision at the hits 1, 2/3, 3/5; each adds a third of recall.
    assert average_precision([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 1]) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # Ranked: wrong, right, right. Precision at the hits 1/2, 2/3; interpolated, the first counts as 2/3 too.
    assert average_precision([0.9, 0.8, 0.7], [0, 1, 1]) == pytest.approx(2 / 3)
    assert average_precision([0.1, 0.9], [0, 1]) == 1.0
    assert average_precision([0.9, 0.1], [0, 1]) == 0.5
    assert math.isnan(average_precision([0.9, 0.1], [0, 0]))
    with pytest.raises(InputError, match="one label"):
        average_precision([0.9], [0, 1])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=1, max_size=50, unique_by=lambda p: p[0]))
def test_average_precision_does_not_mind_order_or_scale(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    if not labels.any():
        return
    value = average_precision(scores, labels)
    assert labels.mean() - 1e-9 <= value <= 1.0 + 1e-9  # at worst the positives come last
    assert average_precision(scores[::-1], labels[::-1]) == pytest.approx(value)
    assert average_precision(np.exp(scores / 1e6), labels) == pytest.approx(value)


def test_agreement_by_hand() -> None:
    found = agreement([1, 1, 0, 0, 1], [1, 0, 0, 1, 1])
    assert (found.accuracy, found.precision, found.recall, found.f1) == pytest.approx((3 / 5, 2 / 3, 2 / 3, 2 / 3))
    assert found.count == 5
    nothing = agreement([0, 0], [0, 0])
    assert nothing.accuracy == 1.0
    assert math.isnan(nothing.f1)


def test_overlaps_by_hand() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 4, 4]])
    np.testing.assert_allclose(overlaps(np.array([0.0, 0, 2, 2]), boxes), [1.0, 1 / 3, 0.0])


def face(time: float, box: tuple[float, float, float, float], score: float = 0.0, label: str = SPEAKING) -> FaceRow:
    return FaceRow("v", time, box, label, "v:A", score)


def test_faces_are_matched_by_overlap_above_one_half() -> None:
    nudged = (0.1, 0.2, 0.3, 0.5)  # three quarters of LEFT
    too_far = (0.2, 0.2, 0.4, 0.6)  # half beside RIGHT's and LEFT's places: a third of LEFT
    truth = [face(1.0, LEFT), face(1.0, RIGHT), face(2.0, LEFT)]
    found = [face(1.01, nudged, 0.7), face(1.01, too_far, 0.9), face(2.03, LEFT, 0.8)]
    np.testing.assert_allclose(matched_scores(truth, found, missing=-1.0), [0.7, -1.0, -1.0])


def test_one_found_face_answers_for_one_label_only() -> None:
    truth = [face(1.0, LEFT), face(1.0, (0.1, 0.2, 0.3, 0.55))]
    np.testing.assert_allclose(matched_scores(truth, [face(1.0, LEFT, 0.9)], missing=0.0), [0.9, 0.0])
    other_video = [FaceRow("w", 1.0, LEFT, SPEAKING, "w:A", 0.9)]
    np.testing.assert_allclose(matched_scores(truth, other_video, missing=0.0), [0.0, 0.0])


def test_turns_are_paired_by_shared_time() -> None:
    truth = [Segment("r", 0.0, 4.0, "anna"), Segment("r", 4.0, 8.0, "ben")]
    found = [Segment("r", 0.0, 3.0, "B"), Segment("r", 3.0, 8.0, "A")]
    result = turn_agreement(truth, found)
    assert result.names == {"B": "anna", "A": "ben"}
    assert result.moments == 200
    assert result.accuracy == pytest.approx(7 / 8)  # from 3 to 4 s A is named instead of B
    assert result.f1 == pytest.approx(2 * 7 / (8 + 8))


def test_overlapping_turns_and_false_names() -> None:
    truth = [Segment("r", 0.0, 2.0, "anna"), Segment("r", 1.0, 2.0, "ben")]
    assert turn_agreement(truth, truth).accuracy == 1.0
    result = turn_agreement(truth, [Segment("r", 0.0, 2.0, "A"), Segment("r", 0.0, 1.0, "off-screen")])
    assert result.accuracy == 0.0  # first a second name too many, then one too few
    assert result.f1 == pytest.approx(2 * 2 / (3 + 3))
    assert math.isnan(turn_agreement([], []).accuracy)


def test_ava_layout() -> None:
    line = ava_table([face(902.02, LEFT, 0.87654)])
    assert line == "v,902.02,0.1000,0.2000,0.3000,0.6000,SPEAKING_AUDIBLE,v:A,0.8765\n"


def test_ava_reads_back_with_and_without_header_and_score(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,entity_id\n"
        "v,902,0.1,0.2,0.3,0.6,NOT_SPEAKING,v:A\n"
    )
    assert read_ava(table) == [FaceRow("v", 902.0, LEFT, "NOT_SPEAKING", "v:A", 0.0)]
    table.write_text(ava_table([face(1.0, LEFT, 0.5)]))
    assert read_ava(table) == [face(1.0, LEFT, 0.5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v,1.0,0,0,1,1,SPEAKING_AUDIBLE\n", "line 1: 7 columns"),
        ("v,1.0,0,0,1,1,SHOUTING,a\n", "'SHOUTING' is none of"),
        ("v,soon,0,0,1,1,NOT_SPEAKING,a\n", "line 1: could not convert"),
        ("", "no labels"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=words):
        read_ava(table)


def test_rttm_layout_and_back(tmp_path: Path) -> None:
    segments = [Segment("my talk", 0.5, 4.25, "A"), Segment("my talk", 4.25, 5.0, "off-screen")]
    text = rttm_lines(segments)
    assert text.splitlines()[0] == "SPEAKER my_talk 1 0.500 3.750 <NA> <NA> A <NA> <NA>"
    file = tmp_path / "turns.rttm"
    file.write_text(";; a comment\n" + text)
    assert read_rttm(file) == [Segment("my_talk", 0.5, 4.25, "A"), Segment("my_talk", 4.25, 5.0, "off-screen")]
    file.write_text("SPEAKER r 1 now 3\n")
    with pytest.raises(InputError, match="line 1: not an RTTM line"):
        read_rttm(file)
    with pytest.raises(InputError, match="no such file"):
        read_rttm(tmp_path / "none.rttm")
