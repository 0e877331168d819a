import numpy as np
import pytest

from syncnet.media import FPS, Frame
from syncnet.watching import Shown, Told, watched


def film(pictures: list[int], start: float = 2.0) -> list[Frame]:
    made = {n: np.full((4, 4), n, np.uint8) for n in pictures}
    return [Frame(start + k / FPS, made[n]) for k, n in enumerate(pictures)]


def test_frames_pass_and_are_counted() -> None:
    shown = Shown()
    source = film([1, 1, 2, 2, 3])
    assert list(watched(iter(source), Told(None, 1.0), shown)) == source
    assert shown.first == 2.0
    assert shown.last == pytest.approx(2.16)
    assert shown.pictures == 3
    assert shown.seconds == pytest.approx(0.2)
    assert shown.fps == pytest.approx(15.0)


def test_progress_never_goes_back_and_ends_at_the_end() -> None:
    done: list[float] = []
    told = Told(lambda seconds, total: done.append(seconds / (total or 1.0)), 4.0)
    for second in range(6):  # the sound lasts longer than the picture
        told.heard(second)
    list(watched(iter(film(list(range(101)))), told, Shown()))
    assert done == sorted(done)
    assert 0.0 < done[5] < 0.2
    assert done[-1] == pytest.approx(1.0)


def test_without_a_duration_the_seconds_of_picture_are_told() -> None:
    done: list[tuple[float, float | None]] = []
    told = Told(lambda seconds, total: done.append((seconds, total)), None)
    told.heard(3.0)
    told.seen(1.0)
    assert done == [(0.0, None), (1.0, None)]
