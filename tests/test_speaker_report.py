"""Who speaks, in words and in every layout that is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from made_speakers import LEFT, finished
from syncnet.speaker_report import ava_csv, in_words, lines_in_words, result_dict, rttm, segments
from syncnet.speaker_truth import read_ava, read_rttm


def test_in_words() -> None:
    result = finished()
    assert in_words(result) == "A speaks 0.0-2.0 s, B 2.0-3.0 s (unsure), off-screen 3.0-4.0 s"
    only = replace(result, turns=result.turns[2:])
    assert in_words(only) == "off-screen voice 3.0-4.0 s"
    nothing = replace(result, turns=(), reasons=("no voice was heard",))
    assert in_words(nothing) == "no answer: no voice was heard"


def test_lines_name_offset_and_people() -> None:
    lines = lines_in_words(replace(finished(), problems=("damaged",)))
    assert lines[0].startswith("panel.mp4: A speaks")
    assert "sync" in lines[1] and "50 frames" in lines[1]
    assert lines[2] == "  A: track 0, seen 4.0 s, speaks 2.0 s"
    assert lines[-1] == "  note: damaged"
    late = lines_in_words(replace(finished(), offset_ms=180.0))
    assert "180 ms late" in late[1]
    assumed = lines_in_words(replace(finished(), offset_from="assumed"))
    assert "taken to be in sync" in assumed[1]


def test_json_holds_what_the_docs_say() -> None:
    answer = json.loads(json.dumps(result_dict(finished())))
    documented = (Path(__file__).parents[1] / "docs" / "speakers.md").read_text()
    for key in (*answer, *answer["turns"][0], *answer["people"][0], *answer["faces"][0]):
        assert f"`{key}`" in documented, key
    assert answer["turns"][2] == {"start_s": 3.0, "end_s": 4.0, "speaker": None, "confidence": 0.8, "sure": True}
    assert answer["faces"][0]["speaking"] == [[0.0, 2.0]]
    assert answer["people"][1]["name"] == "B"


def test_ava_table_has_every_face_at_every_frame(tmp_path: Path) -> None:
    table = tmp_path / "speakers.csv"
    table.write_text(ava_csv([finished(), finished("other.mkv")]))
    rows = read_ava(table)
    assert len(rows) == 2 * 2 * 100
    first = rows[0]
    assert (first.video, first.time_s, first.entity) == ("panel", 0.0, "panel:A")
    np.testing.assert_allclose(first.box, np.array(LEFT) / [320, 180, 320, 180], atol=1e-4)
    assert first.score == np.float32(0.9).round(4)
    assert [r.video for r in rows[200:202]] == ["other", "other"]


def test_rttm_is_on_the_clock_of_the_sound(tmp_path: Path) -> None:
    late = replace(finished(), offset_ms=200.0)
    assert [(s.start_s, s.end_s, s.speaker) for s in segments(late)][:2] == [(0.2, 2.2, "A"), (2.2, 3.2, "B")]
    file = tmp_path / "turns.rttm"
    file.write_text(rttm([finished()]))
    assert [(s.speaker, s.start_s, s.end_s) for s in read_rttm(file)][2] == ("off-screen", 3.0, 4.0)
    early = replace(finished(), offset_ms=-200.0)
    assert segments(early)[0].start_s == 0.0
