"""From probabilities to turns, by hand."""

import numpy as np
import pytest

from made_speakers import flags
from syncnet.turns import OFFSCREEN, film_turns

N = 250


def line(*stretches: tuple[float, float], chance: float = 0.9) -> np.ndarray:
    return np.where(flags(N, *stretches), chance, 0.0).astype(np.float32)


def told(
    people: list[tuple[str, int, np.ndarray]], offscreen: np.ndarray, voice: np.ndarray
) -> list[tuple[str, float, float]]:
    found = film_turns(people, offscreen.astype(np.float64), voice, 10.0, 0.7)
    return [(t.speaker, round(t.start_s, 2), round(t.end_s, 2)) for t in found]


def test_turns_of_two_people_and_a_voice_from_elsewhere() -> None:
    voice = flags(N, (0, 9))
    people = [("A", 0, line((0, 3))), ("B", 0, line((3, 6)))]
    assert told(people, line((6, 9)), voice) == [("A", 10.0, 13.0), ("B", 13.0, 16.0), (OFFSCREEN, 16.0, 19.0)]


def test_a_short_pause_is_part_of_the_turn_a_long_one_is_not() -> None:
    short = flags(N, (0, 2), (2.6, 4))
    assert told([("A", 0, line((0, 2), (2.6, 4)))], line(), short) == [("A", 10.0, 14.0)]
    long = flags(N, (0, 2), (3.2, 5))
    assert told([("A", 0, line((0, 2), (3.2, 5)))], line(), long) == [("A", 10.0, 12.0), ("A", 13.2, 15.0)]


def test_a_pause_in_which_somebody_else_speaks_ends_the_turn() -> None:
    people = [("A", 0, line((0, 2), (2.6, 4))), ("B", 0, line((2, 2.6)))]
    assert told(people, line(), flags(N, (0, 4))) == [("A", 10.0, 12.0), ("B", 12.0, 12.6), ("A", 12.6, 14.0)]


def test_a_pause_cut_off_by_somebody_else_is_no_turn() -> None:
    people = [("A", 0, line((0, 2), (2.8, 4))), ("B", 0, line((2, 2.36)))]
    voice = flags(N, (0, 2.36), (2.8, 4))
    assert [name for name, _, _ in told(people, line(), voice)] == ["A", "B", "A"]


def test_people_who_speak_at_once_have_turns_at_once() -> None:
    people = [("A", 0, line((0, 4))), ("B", 0, line((2, 6)))]
    assert told(people, line(), flags(N, (0, 6))) == [("A", 10.0, 14.0), ("B", 12.0, 16.0)]


def test_blinks_of_the_evidence_are_no_turns() -> None:
    people = [("A", 0, line((0, 4))), ("B", 0, line((2, 2.2)))]
    assert [name for name, _, _ in told(people, line(), flags(N, (0, 4)))] == ["A"]


def test_a_track_that_begins_later_and_runs_past_the_end() -> None:
    late = np.full(100, 0.9, np.float32)
    assert told([("A", 200, late)], line(), flags(N, (8, 10))) == [("A", 18.0, 20.0)]


def test_confidence_is_the_mean_probability_and_decides_what_is_sure() -> None:
    found = film_turns([("A", 0, line((0, 4), chance=0.6))], np.zeros(N), flags(N, (0, 4)), 0.0, 0.7)
    assert found[0].confidence == pytest.approx(0.6)
    assert not found[0].sure
    assert film_turns([("A", 0, line((0, 4)))], np.zeros(N), flags(N, (0, 4)), 0.0, 0.7)[0].sure


def test_silence_is_nobodys() -> None:
    assert told([("A", 0, line((0, 10)))], line(), np.zeros(N, bool)) == []
    assert film_turns([], np.zeros(0), np.zeros(0, bool), 0.0, 0.7) == ()
