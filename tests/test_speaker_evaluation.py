"""Found speakers against labels: two tables, two lists of turns, and a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_speakers import finished, flags, watched
from syncnet.errors import InputError
from syncnet.speaker_analysis import Watched, who_speaks
from syncnet.speaker_evaluation import (
    FaceFigures,
    Figures,
    TurnFigures,
    compare_tables,
    evaluate_recordings,
    face_figures,
    figures_dict,
    figures_table,
    read_labels,
)
from syncnet.speaker_report import ava_csv, face_rows, rttm, segments
from syncnet.speaker_truth import SPEAKING, FaceRow, Segment

N = 250


def labelled() -> list[FaceRow]:
    """The finished result as if it were the truth."""
    return [
        replace(row, label=SPEAKING if row.score > 0.5 else "NOT_SPEAKING", score=0.0)
        for row in face_rows(finished())
    ]


def test_a_right_answer_is_right_throughout() -> None:
    figures = face_figures(labelled(), list(face_rows(finished())))
    assert (figures.average_precision, figures.accuracy, figures.f1, figures.found) == (1.0, 1.0, 1.0, 1.0)
    assert figures.labels == 200


def test_faces_that_were_not_found_count_as_silent() -> None:
    without = [row for row in face_rows(finished()) if row.entity.endswith("B")]
    figures = face_figures(labelled(), without)
    assert figures.found == 0.5
    assert figures.recall == pytest.approx(25 / 75)  # B speaks for one of the three seconds
    assert figures.precision == 1.0


def test_tables_are_read_back_and_compared(tmp_path: Path) -> None:
    table, turns = tmp_path / "panel.csv", tmp_path / "panel.rttm"
    table.write_text(ava_csv([finished()]))
    turns.write_text(rttm([finished()]))
    faces = compare_tables(labelled(), read_labels(table))
    assert isinstance(faces, FaceFigures) and faces.accuracy == 1.0
    same = compare_tables(segments(finished()), read_labels(turns))
    assert isinstance(same, TurnFigures) and same.accuracy == 1.0 and same.moments == 100
    with pytest.raises(InputError, match="two AVA tables or two RTTM files"):
        compare_tables(labelled(), read_labels(turns))
    with pytest.raises(InputError, match="must be that in the labels"):
        compare_tables([replace(row, video="other") for row in labelled()], read_labels(table))


def made(_: Path) -> Watched:
    return watched([flags(N, (0, 5)), flags(N, (5, 10))], flags(N, (0.2, 9.8)))


def test_a_recording_is_measured_at_every_window() -> None:
    truth = [Segment("panel", 0.2, 5.0, "anna"), Segment("panel", 5.0, 9.8, "ben")]
    figures = evaluate_recordings(truth, ["films/panel.mp4"], windows=(25, 100), watched=made)
    assert [f.window for f in figures] == [25, 100]
    assert all(isinstance(f, TurnFigures) and f.accuracy > 0.9 for f in figures)


def test_a_name_with_blanks_is_found_in_rttm(tmp_path: Path) -> None:
    labels = tmp_path / "my panel.rttm"
    labels.write_text("SPEAKER my_panel 1 0.200 4.800 <NA> <NA> anna <NA> <NA>\n")

    def blank(path: Path) -> Watched:
        seen = made(path)
        return replace(seen, result=replace(seen.result, file=str(path)))

    (figures,) = evaluate_recordings(read_labels(labels), ["my panel.mp4"], windows=(50,), watched=blank)
    assert figures.accuracy > 0.9


def test_faces_of_a_recording_are_measured() -> None:
    result = who_speaks(made(Path()))
    truth = [
        replace(row, label=SPEAKING if (row.time_s < 5) == row.entity.endswith("A") else "NOT_SPEAKING")
        for row in face_rows(result)
        if 0.4 < row.time_s < 9.6
    ]
    figures = evaluate_recordings(truth, ["panel.mp4"], windows=(50,), watched=made)[0]
    assert isinstance(figures, FaceFigures)
    assert figures.found == 1.0 and figures.average_precision > 0.95 and figures.accuracy > 0.9


def test_recordings_of_other_names_are_refused_before_they_are_read() -> None:
    def never(_: Path) -> Watched:
        raise AssertionError("it was read")

    with pytest.raises(InputError, match="must be that in the labels"):
        evaluate_recordings([Segment("panel", 0.0, 1.0, "x")], ["talk.mp4"], watched=never)


def test_figures_in_words_and_json() -> None:
    faces = FaceFigures(25, float("nan"), 0.5, 0.25, 0.2, 0.3, 1.0, 10)
    figures: list[Figures] = [faces, TurnFigures(0, 0.75, 0.5, 40)]
    lines = figures_table(figures)
    assert "window   25" in lines[0] and "AP     -" in lines[0] and "accuracy  50.0 %" in lines[0]
    assert lines[1].startswith("as given") and "75.0 %" in lines[1] and "40 moments" in lines[1]
    rows = figures_dict(figures)
    assert rows[0]["average_precision"] is None and rows[0]["accuracy"] == 0.5
    assert np.isclose(rows[1]["f1"], 0.5)
