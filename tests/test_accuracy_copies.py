"""The copies that accuracy is measured on are what they say, and nothing stale is read from what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import seen as kept_things
from corpus import Clip, even
from seen import Seen, seen
from variants import DRESSES, PUBLISHED, SHIFTED, Variant, shifted

from made_media import H264, flash_and_beep, needs_ffmpeg, see
from syncnet.sound_features import SoundFeatures
from syncnet.tracks import MouthTrack


def clip(name: str, path: Path = Path()) -> Clip:
    return Clip(path, name, "someone", "real", "somewhere", 4.0, 25.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash and a beep 50 ms after it."""
    return flash_and_beep(tmp_path_factory.mktemp("recording") / "clip.mkv", H264, "flac", shift=0.05)


@needs_ffmpeg
@pytest.mark.parametrize("truth_ms", [-641.0, 333.0])
@pytest.mark.parametrize("name", SHIFTED)
def test_a_shifted_copy_is_shifted_by_what_it_says(recording: Path, tmp_path: Path, name: str, truth_ms: float) -> None:
    copy = Variant(name, truth_ms).make(recording, tmp_path)
    assert see(copy).shift_ms == pytest.approx(50 + truth_ms, abs=2)


@needs_ffmpeg
@pytest.mark.parametrize("name", DRESSES)
def test_other_dress_leaves_the_offset_alone(recording: Path, tmp_path: Path, name: str) -> None:
    seen_copy = see(Variant(name).make(recording, tmp_path))
    # A flash of one picture can only be as near as the pictures of 59.94 fps are to its time.
    assert seen_copy.shift_ms == pytest.approx(50, abs=17 if name == "59.94 fps" else 2)
    assert seen_copy.problems == ()


def test_shifts_are_the_same_in_every_run_and_differ_between_clips() -> None:
    assert shifted(clip("a")) == shifted(clip("a"))
    truths = [v.truth_ms for name in "abcdefgh" for v in shifted(clip(name))]
    assert len(set(truths)) > 10 and all(40 <= abs(t) <= 900 for t in truths)
    assert min(truths) < 0 < max(truths)


def test_an_even_choice_keeps_both_ends_and_the_order() -> None:
    every = [clip(str(k)) for k in range(100)]
    names = [int(c.name) for c in even(every, 7)]
    assert names[0] == 0 and names[-1] == 99 and names == sorted(set(names)) and len(names) == 7
    assert even(every, 200) == every


def something(seed: int) -> Seen:
    rng = np.random.default_rng(seed)

    def track(number: int, frames: int) -> MouthTrack:
        crops = rng.integers(0, 255, (frames, 8, 8)).astype(np.uint8)
        boxes, *rows = (rng.random(shape).astype(np.float32) for shape in ((frames, 4), *[(frames,)] * 3))
        return MouthTrack(number, 1, 0.52, crops, boxes, rows[0], rows[1], rows[2], rng.random(frames) > 0.5)

    sound = SoundFeatures(-0.007, rng.random((13, 40)).astype(np.float32), 0.25)
    return Seen(sound, (track(0, 12), track(3, 10)))


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(b"one recording")
    calls: list[Path] = []

    def look(file: Path) -> Seen:
        calls.append(file)
        return something(1)

    monkeypatch.setattr(kept_things, "watch", look)
    first, second = (seen(path, Variant(PUBLISHED), tmp_path / "kept") for _ in range(2))
    assert len(calls) == 1
    assert second.sound.start == first.sound.start and second.sound.loudest == first.sound.loudest
    np.testing.assert_array_equal(second.sound.mfcc, first.sound.mfcc)
    for one, other in zip(first.stretches, second.stretches, strict=True):
        assert (one.id, one.shot, one.start) == (other.id, other.shot, other.start)
        for name in ("crops", "boxes", "size", "yaw", "mouth_open", "seen"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".npz"]


def test_another_file_copy_or_code_is_looked_at_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(b"one recording")
    digests = {kept_things._digest(path, v) for v in (Variant(PUBLISHED), *shifted(clip("a")), *map(Variant, DRESSES))}
    assert len(digests) == 3 + len(DRESSES)
    before = kept_things._digest(path, Variant(PUBLISHED))
    path.write_bytes(b"another")
    assert kept_things._digest(path, Variant(PUBLISHED)) != before
    path.write_bytes(b"one recording")
    assert kept_things._digest(path, Variant(PUBLISHED)) == before
    monkeypatch.setattr(kept_things, "_code_digest", lambda: b"other code")
    assert kept_things._digest(path, Variant(PUBLISHED)) != before


def test_nothing_is_kept_where_none_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(b"one recording")
    monkeypatch.setattr(kept_things, "watch", lambda _: something(2))
    seen(path, Variant(PUBLISHED), None)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mkv"]
