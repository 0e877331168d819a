"""Each maker of test media writes what its name says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import clips
from talking_face import RATE

Get = Callable[[str], Path]


def streams(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        return len(container.streams.video), len(container.streams.audio)


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def loudness(path: Path) -> float:
    with av.open(str(path)) as container:
        return max(float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0))


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / RATE


READABLE = sorted(set(clips.MAKERS) - {"text_named_mp4", "empty", "truncated_mp4", "huge"})


@pytest.mark.parametrize("name", READABLE)
def test_a_readable_clip_holds_the_streams_its_name_promises(clip: Get, name: str) -> None:
    video, audio = streams(clip(name))
    assert video == (0 if name == "no_video" else 1)
    assert audio == (0 if name == "no_audio" else 1)


@pytest.mark.parametrize("name", ["text_named_mp4", "empty", "truncated_mp4"])
def test_a_broken_clip_cannot_be_opened(clip: Get, name: str) -> None:
    with pytest.raises(av.FFmpegError):
        streams(clip(name))


def test_a_truncated_matroska_file_gives_the_part_that_is_there(clip: Get) -> None:
    path = clip("truncated_mkv")
    count = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            count += packet.size > 0
    assert 30 < count < 140


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("three_frames", (256, 256), 3),
        ("one_pixel", (1, 1), 50),
        ("odd_size", (17, 33), 50),
        ("one_fps", (256, 256), 8),
    ],
)
def test_sizes_and_counts_of_frames(clip: Get, name: str, size: tuple[int, int], count: int) -> None:
    shown = pictures(clip(name))
    assert (shown[0].width, shown[0].height) == size
    assert len(shown) == count


@pytest.mark.slow
def test_the_huge_picture_is_4096_by_2160(clip: Get) -> None:
    with av.open(str(clip("huge"))) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (4096, 2160)


def test_loudness(clip: Get) -> None:
    assert loudness(clip("silent")) == 0
    assert loudness(clip("talking")) > 0.2


def test_the_short_sound_ends_after_two_seconds(clip: Get) -> None:
    assert sound_seconds(clip("short_audio")) == pytest.approx(2, abs=0.05)
    assert len(pictures(clip("short_audio"))) == 150


def test_a_still_picture_stays_and_a_cut_changes_everything(clip: Get) -> None:
    still = [frame.to_ndarray(format="gray").astype(int) for frame in pictures(clip("still"))]
    assert max(np.abs(a - still[0]).mean() for a in still) < 1.5
    film = [frame.to_ndarray(format="gray").astype(int) for frame in pictures(clip("cuts"))]
    change = np.array([np.abs(a - b).mean() for a, b in zip(film[1:], film, strict=False)])
    assert sorted(np.argsort(change)[-2:] + 1) == [round(25 * cut) for cut in clips.CUTS_S]
    assert np.sort(change)[-2] > 5 * np.sort(change)[-3]


def test_of_two_faces_the_right_one_talks(clip: Get) -> None:
    film = np.stack([frame.to_ndarray(format="gray") for frame in pictures(clip("two_faces"))]).astype(int)
    rows, half = slice(150, 200), film.shape[2] // 2
    moved = np.abs(np.diff(film[:, rows], axis=0))
    left, right = moved[:, :, 96:160].mean(), moved[:, :, half + 96 : half + 160].mean()
    assert right > 2 * left
