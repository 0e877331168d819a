"""Who speaks when, from what a pass through a film has seen; and such a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import syncnet
from made_speakers import FPS, curves, flags, watched
from syncnet.active_speaker import SILENT, SPEAKING
from syncnet.errors import InputError
from syncnet.speaker_analysis import who_speaks
from syncnet.speaker_model import SpeakerModel
from syncnet.speaker_results import SpeakersResult
from syncnet.turns import OFFSCREEN

MODEL = SpeakerModel()
N = 250
Clips = Callable[[str], Path]


def told(result: SpeakersResult) -> list[tuple[str, float, float]]:
    return [(t.speaker, round(t.start_s, 1), round(t.end_s, 1)) for t in result.turns]


def near(found: list[tuple[str, float, float]], wanted: list[tuple[str, float, float]], within: float = 0.5) -> bool:
    """Whether the same speak in the same order, each from and to about the same time."""
    return len(found) == len(wanted) and all(
        f[0] == w[0] and abs(f[1] - w[1]) <= within and abs(f[2] - w[2]) <= within
        for f, w in zip(found, wanted, strict=True)
    )


def test_voices_in_turn_and_one_from_elsewhere() -> None:
    a, b = flags(N, (0, 4)), flags(N, (4, 7))
    result = who_speaks(watched([a, b], np.ones(N, bool)[:N] & flags(N, (0.1, 9.9))), settings=MODEL)
    assert near(told(result), [("A", 0.1, 4.0), ("B", 4.0, 7.0), (OFFSCREEN, 7.0, 9.9)])
    assert (result.faces[0].state[30:80] == SPEAKING).all()
    assert (result.faces[1].state[30:80] == SILENT).all()
    assert result.offscreen[200:240].min() > 0.5 > result.offscreen[20:80].max()
    assert result.offset_from == "measured"
    assert abs(result.offset_ms) < 20
    assert "sync" in result.offset_in_words


@pytest.mark.parametrize("offset", [-0.3, 0.24])
def test_sound_that_is_late_or_early_moves_with_the_film(offset: float) -> None:
    seen = watched([flags(N, (0, 5)), flags(N, (5, 10))], flags(N, (0.5, 9.5)), offset_s=offset)
    result = who_speaks(seen, settings=MODEL)
    assert result.offset_ms == pytest.approx(1000 * offset, abs=20)
    assert near(told(result), [("A", 0.5, 5.0), ("B", 5.0, 9.5)])


def test_a_given_offset_is_used_and_lips_that_follow_another_are_nobodys() -> None:
    seen = watched([np.ones(N, bool)], flags(N, (0.2, 9.8)), offset_s=0.6)
    assert near(told(who_speaks(seen, settings=MODEL, offset_ms=600.0)), [("A", 0.0, 10.0)], 0.7)
    result = who_speaks(seen, settings=MODEL, offset_ms=0.0)
    assert result.offset_from == "given"
    assert {t.speaker for t in result.turns} == {OFFSCREEN}


def test_a_face_of_another_recording_is_read_at_its_own_offset() -> None:
    early, late = flags(N, (0, 5)), flags(N, (5, 10))
    seen = watched([early, late], flags(N, (0.1, 9.9)))
    other = replace(seen.result.tracks[1], curves=curves(late, 1, offset_s=0.1))
    seen = replace(seen, result=replace(seen.result, tracks=(seen.result.tracks[0], other)))
    own = who_speaks(seen, settings=replace(MODEL, apart_s=0.12, telling=1.0), offset_ms=0.0)
    none = who_speaks(seen, settings=replace(MODEL, apart_s=0.0), offset_ms=0.0)
    assert near(told(own), [("A", 0.1, 5.0), ("B", 5.0, 9.9)])
    assert own.faces[1].score[150:230].mean() > none.faces[1].score[150:230].mean() + 0.5


def test_where_the_film_tells_no_offset_faces_have_none_of_their_own() -> None:
    seen = watched([np.zeros(N, bool)], flags(N, (0.1, 9.9)))  # lips that follow no sound, near to it by chance
    assumed, given = (who_speaks(seen, settings=replace(MODEL, telling=0.0), offset_ms=ms) for ms in (None, 0.0))
    assert assumed.offset_from == "assumed"
    still = who_speaks(seen, settings=replace(MODEL, apart_s=0.0), offset_ms=0.0)
    np.testing.assert_array_equal(assumed.faces[0].score, still.faces[0].score)
    assert given.faces[0].score.mean() > still.faces[0].score.mean()


def test_silence_is_nobodys() -> None:
    seen = watched([np.ones(N, bool)], flags(N, (2, 4), (6, 8)))
    result = who_speaks(seen, settings=MODEL)
    assert near(told(result), [("A", 2.0, 4.0), ("A", 6.0, 8.0)], 0.2)
    assert result.faces[0].probability[110:140].max() == 0.0
    np.testing.assert_allclose(result.voice, [(2.0, 4.0), (6.0, 8.0)], atol=0.15)


def test_no_voice_and_no_face_are_said() -> None:
    quiet = who_speaks(watched([np.ones(N, bool)], np.zeros(N, bool)), settings=MODEL)
    assert quiet.turns == () and quiet.reasons == ("no voice was heard",)
    empty = who_speaks(watched([], flags(N, (1, 9))), settings=MODEL)
    assert [t.speaker for t in empty.turns] == [OFFSCREEN]
    assert "no face" in empty.reasons[0]


def test_faces_that_enter_and_leave() -> None:
    early, late = np.ones(125, bool), np.ones(100, bool)
    seen = watched([early, late], flags(N, (0.1, 9.9)), starts=[0.0, 6.0])
    result = who_speaks(seen, settings=MODEL)
    assert near(told(result), [("A", 0.1, 5.0), (OFFSCREEN, 5.0, 6.0), ("B", 6.0, 9.9)], 0.6)


def test_a_cut_ends_what_is_known_of_places_but_not_the_turns_of_others() -> None:
    first, second = np.ones(125, bool), np.ones(125, bool)
    seen = watched([first, second], flags(N, (0.1, 9.9)), starts=[0.0, 5.0], shots=[0, 1])
    result = who_speaks(seen, settings=MODEL)
    assert result.shots == (0.0, 5.0)
    assert near(told(result), [("A", 0.1, 5.0), ("B", 5.0, 9.9)], 0.2)


def test_people_who_speak_at_once() -> None:
    seen = watched([np.ones(N, bool), flags(N, (3, 7))], flags(N, (0.1, 9.9)), depth=4.0)
    result = who_speaks(seen, settings=MODEL)
    both = (result.faces[0].state == SPEAKING) & (result.faces[1].state == SPEAKING)
    assert both[90:160].mean() > 0.8
    assert not both[:50].any() and not both[200:].any()


def test_a_longer_window_is_steadier() -> None:
    def changes(window: int) -> int:
        seen = watched([flags(N, (0, 5)), flags(N, (5, 10))], flags(N, (0, 10)), depth=0.8)
        return int((np.diff(who_speaks(seen, settings=MODEL, window=window, offset_ms=0.0).faces[0].state) != 0).sum())

    assert changes(100) < changes(10)


def test_thirty_faces() -> None:
    lines = [flags(N, (k / 3, (k + 1) / 3)) if k in (9, 10, 11, 12, 13, 14) else np.zeros(N, bool) for k in range(29)]
    result = who_speaks(watched([np.ones(N, bool), *lines], flags(N, (0, 10))), settings=MODEL)
    assert len(result.people) == 30
    assert max(result.turns, key=lambda t: t.end_s - t.start_s).speaker == "A"


@pytest.mark.parametrize("window", [0, 1001])
def test_a_senseless_window_is_refused(window: int) -> None:
    with pytest.raises(InputError, match="1 to 1000 frames"):
        who_speaks(watched([np.ones(N, bool)], np.ones(N, bool)), window=window)


def test_an_offset_beyond_the_range_is_refused() -> None:
    with pytest.raises(InputError, match="outside the range"):
        who_speaks(watched([np.ones(N, bool)], np.ones(N, bool)), offset_ms=1500.0)


def test_two_faces_are_followed_side_by_side(clip: Clips) -> None:
    result = syncnet.speakers(clip("two_faces"))
    assert [p.name for p in result.people] == ["A", "B"]
    left, right = sorted(result.faces, key=lambda f: float(f.boxes[0, 0]))
    assert left.boxes[:, 2].max() < 256 < right.boxes[:, 0].min()
    for face in result.faces:
        assert len(face.score) == len(face.probability) == len(face.state) == len(face.boxes) >= 115
        assert ((face.probability >= 0) & (face.probability <= 1)).all()
    assert (result.width, result.height) == (512, 256)
    assert len(result.offscreen) == pytest.approx(5 * FPS, abs=1)
    spoken = sum(b - a for a, b in result.voice)
    assert 2.0 < spoken <= 5.0
    assert all(0.0 <= t.start_s < t.end_s <= 5.1 for t in result.turns)


def test_files_without_picture_or_sound_are_refused(clip: Clips) -> None:
    with pytest.raises(InputError, match="no sound"):
        syncnet.speakers(clip("no_audio"))
    with pytest.raises(InputError, match="no picture"):
        syncnet.speakers(clip("no_video"))
